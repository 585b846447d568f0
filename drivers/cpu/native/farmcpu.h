/* C ABI of libfarmcpu. Functions never throw and never exit; those that can fail return a
 * farmcpu_status, and where they take `error` they leave a message there for people.
 * All integers are in host order; only little-endian hosts are supported. */
#ifndef FARMCPU_H
#define FARMCPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FARMCPU_API __attribute__((visibility("default")))

/* Grows whenever a signature below, or the form of a packed plan, changes; the caller compares it at
 * load. */
#define FARMCPU_ABI 7
FARMCPU_API uint32_t farmcpu_abi(void);

/* Instruction set in use: "baseline", "avx2" or "avx512": the best that the processor has, or
 * the one that the environment's FARMCPU_ISA names if it has that. */
FARMCPU_API const char *farmcpu_isa(void);

typedef enum {
  FARMCPU_OK = 0,
  FARMCPU_BAD_ARGUMENT = 1,
  FARMCPU_NOT_SUPPORTED = 2,
  FARMCPU_NO_MEMORY = 3,
  FARMCPU_STOPPED = 4,
} farmcpu_status;

/* Use another instruction set in the whole process; nothing may be running. NOT_SUPPORTED for
 * one that the processor lacks. */
FARMCPU_API farmcpu_status farmcpu_use_isa(const char *name);

/* ---- Proof of work --------------------------------------------------------------------- */

/* A graph of 2^edge_bits edges over 2 x 2^edge_bits nodes (drivers/kernels/graphs.py). */
typedef struct {
  uint64_t keys[4];             /* siphash keys: blake2b-256 of header and nonce */
  uint32_t edge_bits;           /* 10 ... 32 */
  uint32_t compression_rounds;  /* 1 ... 16; Cortex 4, Grin 2 */
  uint32_t finalisation_rounds; /* 1 ... 16; Cortex 8, Grin 4 */
  uint32_t proof_size;          /* cycle length: even, 2 ... 64 */
  uint32_t cycle;               /* CUCKOO_CUCKAROO or CUCKOO_CUCKATOO of cuckoo_graph.h */
} farmcpu_graph;

/* Codes of the verifier, numbered as in the reference node. */
typedef enum {
  FARMCPU_PROOF_OK = 1,
  FARMCPU_PROOF_WRONG_LENGTH = 2, /* count differs from proof_size */
  FARMCPU_PROOF_TOO_BIG = 3,      /* an edge is not below 2^edge_bits */
  FARMCPU_PROOF_TOO_SMALL = 4,    /* edges are not strictly ascending */
  FARMCPU_PROOF_NON_MATCHING = 5, /* some endpoint appears an odd number of times */
  FARMCPU_PROOF_BRANCH = 6,
  FARMCPU_PROOF_DEAD_END = 7,
  FARMCPU_PROOF_SHORT_CYCLE = 8,
  FARMCPU_PROOF_BAD_GRAPH = 100, /* the graph's own numbers are out of range */
} farmcpu_proof;

FARMCPU_API farmcpu_proof farmcpu_cuckoo_verify(const farmcpu_graph *graph, const uint32_t *edges,
                                                size_t count);

/* The 64 edge words of the block that holds `edge` in Cuckaroo; u is the low, v the high half,
 * masked. */
FARMCPU_API farmcpu_status farmcpu_siphash_block(const farmcpu_graph *graph, uint64_t edge,
                                                 uint64_t words[64]);

typedef struct farmcpu_solver farmcpu_solver;

/* MEAN sorts lists of all edges: fast, 6 or 7 bytes an edge. LEAN thins the edges out with bitmaps
 * first, half a byte an edge, and hashes them again for each round. The threads of both (1 ...
 * 256) share a graph. */
typedef enum { FARMCPU_MEAN = 0, FARMCPU_LEAN = 1 } farmcpu_method;

/* The least memory of a solver for graphs of one size and cycle; 0 where there is none. */
FARMCPU_API uint64_t farmcpu_solver_bytes(uint32_t edge_bits, uint32_t cycle,
                                          farmcpu_method method, uint32_t threads);

/* A solver that keeps to about memory_limit_bytes; what is above the least makes LEAN faster.
 * NULL if the limit is below the least, or the memory cannot be had. */
FARMCPU_API farmcpu_solver *farmcpu_solver_create(uint32_t edge_bits, uint32_t cycle,
                                                  farmcpu_method method, uint32_t threads,
                                                  uint64_t memory_limit_bytes);
FARMCPU_API void farmcpu_solver_free(farmcpu_solver *solver);

/* Find every cycle of graph->proof_size edges. Each is written to `cycles` as proof_size
 * ascending edges and has passed farmcpu_cuckoo_verify, the cycles in the order of their edges;
 * *found counts them, and is cut at `capacity` cycles. `stop` (may be
 * NULL) is read often: non-zero ends the search with FARMCPU_STOPPED. One call at a time on one
 * solver. */
FARMCPU_API farmcpu_status farmcpu_solve(farmcpu_solver *solver, const farmcpu_graph *graph,
                                         const volatile int32_t *stop, uint32_t *cycles,
                                         size_t capacity, size_t *found);

/* Edges left after trimming round `round` of the last solved graph (0: all); 0 past the last. */
FARMCPU_API uint64_t farmcpu_solver_survivors(const farmcpu_solver *solver, uint32_t round);

/* Wall seconds that the last solved graph took, by phase. */
enum { FARMCPU_TIMED_ROUNDS = 8 };
typedef struct {
  double generation;                   /* hash every edge and sort, or count, by node */
  double rounds[FARMCPU_TIMED_ROUNDS]; /* the first trimming rounds, one by one */
  double tail;                         /* all further rounds */
  double peel;                         /* the exact 2-core and its cycles */
  double recovery;                     /* the cycles' edge numbers; 0 where there is none */
} farmcpu_phases;
FARMCPU_API void farmcpu_solver_phases(const farmcpu_solver *solver, farmcpu_phases *phases);

/* ---- The machine's floor: one thread at its best; the caller takes the time ------------- */

/* Hash edges 0 ... edges-1 (whole groups of 1,024) and return the xor of their words. */
FARMCPU_API uint64_t farmcpu_floor_hash(const farmcpu_graph *graph, uint64_t edges);
/* Read memory from end to end once, and return the sum of its words. */
FARMCPU_API uint64_t farmcpu_floor_read(const uint64_t *words, size_t count);
/* Fill memory past the caches where the processor can; `words` is aligned to 64 bytes. */
FARMCPU_API void farmcpu_floor_store(uint64_t *words, size_t count, uint64_t value);

/* Find every cycle of `length` edges among `count` edges that another device has left over; edge
 * i joins node ends[2 i] of side u with ends[2 i + 1] of side v. Each cycle is written as `length`
 * ascending places in the list; *found counts them, and is cut at `capacity` cycles. */
FARMCPU_API farmcpu_status farmcpu_find_cycles(const uint32_t *ends, size_t count, uint32_t cycle,
                                               uint32_t length, uint32_t *cycles,
                                               size_t capacity, size_t *found);

/* ---- Integer programs (drivers/program.py) --------------------------------------------- */

typedef struct farmcpu_program farmcpu_program;

/* Check a program and make it ready. `text` is its flat form, words separated by blanks:
 *   values N {precision dimensions size...}   N times
 *   parameters P {value}                      their tensors lie in `parameters` in this order
 *   steps S {operator  inputs n...  outputs n...  attributes {name count number...}}
 *   heads H {value}
 * Every shape, index and bound is checked here: BAD_ARGUMENT for a malformed program,
 * NOT_SUPPORTED for an operator that is not here, NO_MEMORY if the values, and the copies that steps
 * make of them, take more than memory_limit_bytes (tables made for a step take at most twice its
 * output besides).
 * NULL unless *status is FARMCPU_OK. */
FARMCPU_API farmcpu_program *farmcpu_program_load(const char *text, size_t text_bytes,
                                                  const int32_t *parameters,
                                                  size_t parameter_words,
                                                  uint64_t memory_limit_bytes,
                                                  farmcpu_status *status, char *error,
                                                  size_t error_bytes);
FARMCPU_API void farmcpu_program_free(farmcpu_program *program);

/* Words of the input, and of all heads one after another. */
FARMCPU_API size_t farmcpu_program_input_words(const farmcpu_program *program);
FARMCPU_API size_t farmcpu_program_output_words(const farmcpu_program *program);

/* Run one input. BAD_ARGUMENT if a word count differs. One call at a time on one program. */
FARMCPU_API farmcpu_status farmcpu_program_run(farmcpu_program *program, const int32_t *input,
                                               size_t input_words, int32_t *output,
                                               size_t output_words);

/* ---- Single layers of inference (infer_kernels.hpp), for tests and for measuring --------- */

#define FARMCPU_METHODS 5
typedef struct farmcpu_team farmcpu_team;

/* Instruction set that layers are packed for: "avx512vnni", "avx512", "avx2" or "baseline"; the
 * environment's FARMCPU_ISA forces one. Changing it: nothing may be running. */
FARMCPU_API const char *farmcpu_infer_isa(void);
FARMCPU_API farmcpu_status farmcpu_infer_use_isa(const char *name);

/* Multiply and add bytes in registers alone, in that set; returns how many products. */
FARMCPU_API uint64_t farmcpu_floor_multiply(uint64_t steps);

/* NULL without memory or threads. */
FARMCPU_API farmcpu_team *farmcpu_team_create(uint32_t threads);
FARMCPU_API void farmcpu_team_free(farmcpu_team *team);

/* `layer`, `parameters`, `buffers`, `from`, `to`, `residual` and `rescale` are the structs of
 * infer_kernels.hpp, and each function is the one of that name there. */
FARMCPU_API size_t farmcpu_convolution_methods(const void *layer, const void *parameters,
                                               uint32_t methods[FARMCPU_METHODS]);
FARMCPU_API size_t farmcpu_convolution_packed_bytes(const void *layer, uint32_t method);
FARMCPU_API size_t farmcpu_convolution_scratch_bytes(const void *layer, uint32_t method,
                                                     uint32_t threads);
FARMCPU_API void farmcpu_convolution_pack(const void *layer, uint32_t method,
                                          const void *parameters, uint8_t *packed);
FARMCPU_API farmcpu_status farmcpu_convolve(const void *layer, const uint8_t *packed,
                                            const void *buffers, farmcpu_team *team);
FARMCPU_API void farmcpu_pool(const void *layer, const int32_t *multiplier,
                              const int32_t *offset, const uint8_t *source, void *target,
                              farmcpu_team *team);
FARMCPU_API void farmcpu_add(const void *from, const void *to, const void *residual,
                             const uint8_t *source, const uint8_t *other, uint8_t *target,
                             farmcpu_team *team);
FARMCPU_API void farmcpu_scale(const void *from, const void *to, const void *rescale,
                               const int32_t *multiplier, const int32_t *offset,
                               const uint8_t *source, uint8_t *target, farmcpu_team *team);
FARMCPU_API void farmcpu_look_up(const void *from, const void *to, const uint8_t *table,
                                 const uint8_t *source, uint8_t *target, farmcpu_team *team);
FARMCPU_API void farmcpu_copy(const void *from, const void *to, const uint8_t *source,
                              uint8_t *target, farmcpu_team *team);
FARMCPU_API void farmcpu_to_bytes(const void *to, const int32_t *source, uint8_t *target,
                                  farmcpu_team *team);
FARMCPU_API void farmcpu_to_words(const void *from, const uint8_t *source, int32_t *target,
                                  farmcpu_team *team);

/* ---- Packed plans (drivers/kernels/infer, drivers/cpu/blob.py) --------------------------- */

/* Threads, and the memory for activations that all plans opened with it share. */
typedef struct farmcpu_engine farmcpu_engine;
typedef struct farmcpu_plan farmcpu_plan;

/* `threads` includes the caller's. NULL without memory or threads. Of workspace_bytes only what
 * plans use is ever taken from the machine. */
FARMCPU_API farmcpu_engine *farmcpu_engine_create(uint32_t threads, uint64_t workspace_bytes);
/* Only after its plans. */
FARMCPU_API void farmcpu_engine_free(farmcpu_engine *engine);

/* What a blob's header says of the bytes behind it. */
FARMCPU_API uint64_t farmcpu_plan_checksum(const uint8_t *bytes, size_t count);

/* A plan of plan_format.hpp, used where it lies: `blob` is aligned to 64 bytes and outlives the
 * plan. BAD_ARGUMENT for one that is not whole, or made for another instruction set;
 * NOT_SUPPORTED for an operator that is not here; NO_MEMORY if the blob, its activations and its
 * kernels' memory take more than workspace_bytes. NULL unless *status is FARMCPU_OK. */
FARMCPU_API farmcpu_plan *farmcpu_plan_open(farmcpu_engine *engine, const uint8_t *blob,
                                            size_t bytes, farmcpu_status *status, char *error,
                                            size_t error_bytes);
FARMCPU_API void farmcpu_plan_free(farmcpu_plan *plan);

/* Words of the input, and of all heads one after another; layers. */
FARMCPU_API size_t farmcpu_plan_input_words(const farmcpu_plan *plan);
FARMCPU_API size_t farmcpu_plan_output_words(const farmcpu_plan *plan);
FARMCPU_API size_t farmcpu_plan_layers(const farmcpu_plan *plan);

/* Run one input. BAD_ARGUMENT if a word count differs. Plans of one engine run one after another. */
FARMCPU_API farmcpu_status farmcpu_plan_run(farmcpu_plan *plan, const int32_t *input,
                                            size_t input_words, int32_t *output,
                                            size_t output_words);
/* The same `runs` times; `seconds` gets the wall time of each layer over all runs. */
FARMCPU_API farmcpu_status farmcpu_plan_time(farmcpu_plan *plan, const int32_t *input,
                                             size_t input_words, int32_t *output,
                                             size_t output_words, uint32_t runs,
                                             double *seconds);

#ifdef __cplusplus
}
#endif
#endif
