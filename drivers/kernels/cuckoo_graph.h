/* The arithmetic of the graphs (drivers/kernels/graphs.py says what they are), for C, C++, CUDA,
 * HIP and OpenCL C 1.2. Whoever has a faster rotation defines CUCKOO_ROTATE first. */
#ifndef CUCKOO_GRAPH_H
#define CUCKOO_GRAPH_H

#if defined(__OPENCL_VERSION__)
typedef uint cuckoo_u32;
typedef ulong cuckoo_u64;
#define CUCKOO_FUNCTION static inline
#ifndef CUCKOO_ROTATE
#define CUCKOO_ROTATE(x, bits) rotate((x), (ulong)(bits))
#endif
#elif defined(__CUDACC__) || defined(__CUDA__) || defined(__HIPCC__) || defined(__HIP__)
typedef unsigned int cuckoo_u32;
typedef unsigned long long cuckoo_u64;
#define CUCKOO_FUNCTION static __host__ __device__ __forceinline__
#else
#include <stdint.h>
typedef uint32_t cuckoo_u32;
typedef uint64_t cuckoo_u64;
#define CUCKOO_FUNCTION static inline
#endif

#ifndef CUCKOO_ROTATE
#define CUCKOO_ROTATE(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))
#endif

#define CUCKOO_BLOCK_EDGES 64

/* How edges are hashed, and which of them meet. The value is also the pair bit: an edge with
 * node n on one side meets the others there that have node n ^ pair. */
#define CUCKOO_CUCKAROO 0
#define CUCKOO_CUCKATOO 1

/* One round. Arguments are lvalues: 64-bit words, or vectors of them. */
#define CUCKOO_SIP_ROUND(v0, v1, v2, v3) \
  do {                                   \
    v0 += v1;                            \
    v2 += v3;                            \
    v1 = CUCKOO_ROTATE(v1, 13);          \
    v3 = CUCKOO_ROTATE(v3, 16);          \
    v1 ^= v0;                            \
    v3 ^= v2;                            \
    v0 = CUCKOO_ROTATE(v0, 32);          \
    v2 += v1;                            \
    v0 += v3;                            \
    v1 = CUCKOO_ROTATE(v1, 17);          \
    v3 = CUCKOO_ROTATE(v3, 21);          \
    v1 ^= v2;                            \
    v3 ^= v0;                            \
    v2 = CUCKOO_ROTATE(v2, 32);          \
  } while (0)

typedef struct {
  cuckoo_u64 v0, v1, v2, v3;
} cuckoo_state;

CUCKOO_FUNCTION cuckoo_state cuckoo_begin(cuckoo_u64 k0, cuckoo_u64 k1, cuckoo_u64 k2,
                                          cuckoo_u64 k3) {
  cuckoo_state s;
  s.v0 = k0;
  s.v1 = k1;
  s.v2 = k2;
  s.v3 = k3;
  return s;
}

/* The word of `input`; the state goes on from there. */
CUCKOO_FUNCTION cuckoo_u64 cuckoo_hash(cuckoo_state *s, cuckoo_u64 input,
                                       cuckoo_u32 compression_rounds,
                                       cuckoo_u32 finalisation_rounds) {
  cuckoo_u32 r;
  s->v3 ^= input;
  for (r = 0; r < compression_rounds; ++r) CUCKOO_SIP_ROUND(s->v0, s->v1, s->v2, s->v3);
  s->v0 ^= input;
  s->v2 ^= 0xff;
  for (r = 0; r < finalisation_rounds; ++r) CUCKOO_SIP_ROUND(s->v0, s->v1, s->v2, s->v3);
  return (s->v0 ^ s->v1) ^ (s->v2 ^ s->v3);
}

/* Bits of a node, or of an edge's number: all ones at 32 edge bits. */
CUCKOO_FUNCTION cuckoo_u32 cuckoo_mask(cuckoo_u32 edge_bits) {
  return 0xffffffffu >> (32 - edge_bits);
}

/* Cuckaroo: hash the inputs first ... first + 63 with one state, and xor each word but the last
 * with the last; then side 0 (u) is the low and side 1 (v) the high half of an edge's word. */
CUCKOO_FUNCTION cuckoo_u32 cuckaroo_node(cuckoo_u64 word, cuckoo_u32 side, cuckoo_u32 mask) {
  return (cuckoo_u32)(word >> (32 * side)) & mask;
}

/* Cuckatoo: a state of its own for each node. */
CUCKOO_FUNCTION cuckoo_u32 cuckatoo_node(cuckoo_state fresh, cuckoo_u64 edge, cuckoo_u32 side,
                                         cuckoo_u32 compression_rounds,
                                         cuckoo_u32 finalisation_rounds, cuckoo_u32 mask) {
  return (cuckoo_u32)cuckoo_hash(&fresh, 2 * edge + side, compression_rounds,
                                 finalisation_rounds) &
         mask;
}

#endif
