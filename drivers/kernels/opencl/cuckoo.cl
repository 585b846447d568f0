/* Edge trimming by sorting into buckets, for any OpenCL 1.2 device. The host puts cuckoo_graph.h
 * before this text; opencl_trimmer.py says what it runs when.
 *
 * Build options, all needed:
 *   CYCLE                CUCKOO_CUCKAROO or CUCKOO_CUCKATOO
 *   COMPRESSION_ROUNDS, FINALISATION_ROUNDS   of siphash
 *   KEEP_WORDS           1: the words of a block of Cuckaroo stay in private memory, which a
 *                        processor has; 0: the block is hashed twice, since a GPU's registers
 *                        do not hold it
 *
 * An edge in a list is (node u, node v). A list has 2^bucket_bits buckets of `capacity` edges
 * each, by the high bits of the node on one side, and a count for each, which may pass the
 * capacity: the edges beyond are lost, and the host sees how many. Since one allocation may
 * not hold a list, it lies in PARTS of them, 2^part_bits buckets in each. */

/* ---- Lists ------------------------------------------------------------------------------ */

#define LIST(name)                                                               \
  global uint2 *name##0, global uint2 *name##1, global uint2 *name##2,           \
      global uint2 *name##3, global uint *name##_counts, const uint name##_capacity, \
      const uint name##_part_bits
#define BUCKET(name, bucket) \
  start_of_bucket(name##0, name##1, name##2, name##3, name##_capacity, name##_part_bits, bucket)

static inline global uint2 *start_of_bucket(global uint2 *part0, global uint2 *part1,
                                            global uint2 *part2, global uint2 *part3,
                                            uint capacity, uint part_bits, uint bucket) {
  const uint part = bucket >> part_bits;
  global uint2 *start = part == 0 ? part0 : part == 1 ? part1 : part == 2 ? part2 : part3;
  return start + (ulong)(bucket - (part << part_bits)) * capacity;
}

/* Append an edge to the bucket of its node on `side`. */
#define APPEND(name, edge, side, low_bits)                          \
  do {                                                              \
    const uint bucket_ = node_of(edge, side) >> (low_bits);         \
    const uint place_ = atomic_inc(&name##_counts[bucket_]);        \
    if (place_ < name##_capacity) BUCKET(name, bucket_)[place_] = (edge); \
  } while (0)

static inline uint node_of(uint2 edge, uint side) { return side ? edge.y : edge.x; }

/* ---- Counters --------------------------------------------------------------------------- */

/* Cuckaroo keeps an edge if its node has two: two bits a node, set one after the other.
 * Cuckatoo keeps it if the node's pair has one: one bit. Macros, since a pointer of OpenCL 1.2
 * is local or global. */
#if CYCLE == CUCKOO_CUCKATOO
#define COUNTER_BITS 1
#else
#define COUNTER_BITS 2
#endif
#define NODES_IN_WORD (32 / COUNTER_BITS)
#define BIT_OF(node) (1u << (node) % NODES_IN_WORD * COUNTER_BITS)

#define COUNT(counters, node)                                                      \
  do {                                                                             \
    const uint bit_ = BIT_OF(node);                                                \
    const uint old_ = atomic_or(&(counters)[(node) / NODES_IN_WORD], bit_);        \
    if (COUNTER_BITS == 2 && (old_ & bit_))                                        \
      atomic_or(&(counters)[(node) / NODES_IN_WORD], bit_ << (COUNTER_BITS - 1));  \
  } while (0)

#define HAS_MATE(counters, node)              \
  ((counters)[(node) / NODES_IN_WORD] &       \
   (BIT_OF((node) ^ CYCLE) << (COUNTER_BITS - 1)))

/* ---- Hashing ---------------------------------------------------------------------------- */

/* 64 edges, to be taken in order. */
typedef struct {
  cuckoo_state keys, state;
  ulong first, last_word;
#if KEEP_WORDS
  ulong words[CUCKOO_BLOCK_EDGES];
#endif
} edge_block;

static inline ulong next_word(edge_block *block, uint i) {
  return cuckoo_hash(&block->state, block->first + i, COMPRESSION_ROUNDS, FINALISATION_ROUNDS);
}

static inline void begin_block(edge_block *block, ulong4 keys, ulong number) {
  block->keys = cuckoo_begin(keys.x, keys.y, keys.z, keys.w);
  block->state = block->keys;
  block->first = number * CUCKOO_BLOCK_EDGES;
#if CYCLE == CUCKOO_CUCKAROO
  for (uint i = 0; i < CUCKOO_BLOCK_EDGES; ++i) {
    block->last_word = next_word(block, i);
#if KEEP_WORDS
    block->words[i] = block->last_word;
#endif
  }
  block->state = block->keys;
#endif
}

static inline uint2 edge_of_block(edge_block *block, uint i, uint mask) {
#if CYCLE == CUCKOO_CUCKATOO
  return (uint2)(cuckatoo_node(block->keys, block->first + i, 0, COMPRESSION_ROUNDS,
                               FINALISATION_ROUNDS, mask),
                 cuckatoo_node(block->keys, block->first + i, 1, COMPRESSION_ROUNDS,
                               FINALISATION_ROUNDS, mask));
#else
#if KEEP_WORDS
  ulong word = block->words[i];
#else
  ulong word = next_word(block, i);
#endif
  if (i != CUCKOO_BLOCK_EDGES - 1) word ^= block->last_word;
  return (uint2)(cuckaroo_node(word, 0, mask), cuckaroo_node(word, 1, mask));
#endif
}

/* One work-item a word. */
kernel void clear(global uint *words) { words[get_global_id(0)] = 0; }

/* ---- Rounds on bitmaps, where the lists of all edges have no room ------------------------- */

/* Round `round` counts the nodes of side round % 2 of the edges that are alive, having dropped
 * those that the round before condemned (`condemned`: its counters; not read in round 0).
 * One work-item a block, whose 64 edges are a word of `alive`. */
kernel void thin_edges(const ulong4 keys, const uint edge_bits, const uint round,
                       global ulong *alive, global const uint *condemned, global uint *counters,
                       global uint *left, const uint left_slots) {
  const size_t number = get_global_id(0);
  const uint mask = cuckoo_mask(edge_bits), side = round % 2;
  const ulong before = round ? alive[number] : ~(ulong)0;
  ulong after = before;
  edge_block block;
  begin_block(&block, keys, number);
  for (uint i = 0; i < CUCKOO_BLOCK_EDGES; ++i) {
    const uint2 edge = edge_of_block(&block, i, mask);
    if (!(before >> i & 1)) continue;
    if (round && !HAS_MATE(condemned, node_of(edge, !side)))
      after ^= (ulong)1 << i;
    else
      COUNT(counters, node_of(edge, side));
  }
  alive[number] = after;
  atomic_add(&left[number % left_slots], (uint)popcount(after));
}

/* ---- Rounds on lists -------------------------------------------------------------------- */

/* List the edges by side `round` % 2: all of them in round 0, else those alive that the round
 * before leaves. One work-item a block. */
kernel void list_edges(const ulong4 keys, const uint edge_bits, const uint round,
                       global const ulong *alive, global const uint *condemned,
                       const uint low_bits, LIST(to)) {
  const size_t number = get_global_id(0);
  const uint mask = cuckoo_mask(edge_bits), side = round % 2;
  const ulong before = round ? alive[number] : ~(ulong)0;
  edge_block block;
  begin_block(&block, keys, number);
  for (uint i = 0; i < CUCKOO_BLOCK_EDGES; ++i) {
    const uint2 edge = edge_of_block(&block, i, mask);
    if (!(before >> i & 1)) continue;
    if (round && !HAS_MATE(condemned, node_of(edge, !side))) continue;
    APPEND(to, edge, side, low_bits);
  }
}

/* One round: keep, of the edges listed by `side`, those that have a mate there, and list them
 * by the other side; leave the list read empty, for the next round. One work-group a bucket; `counters` has COUNTER_BITS for each of the
 * bucket's 2^low_bits nodes. */
kernel void trim(const uint side, const uint low_bits, local uint *counters,
                 const uint counter_words, LIST(from), LIST(to)) {
  const uint bucket = get_group_id(0), lane = get_local_id(0), lanes = get_local_size(0);
  const uint low_mask = (1u << low_bits) - 1;
  const uint size = min(from_counts[bucket], from_capacity);
  global const uint2 *edges = BUCKET(from, bucket);

  for (uint i = lane; i < counter_words; i += lanes) counters[i] = 0;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint i = lane; i < size; i += lanes) {
    const uint node = node_of(edges[i], side) & low_mask;
    COUNT(counters, node);
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);  // All have read the count.
  if (lane == 0) from_counts[bucket] = 0;
  for (uint i = lane; i < size; i += lanes) {
    const uint2 edge = edges[i];
    const uint node = node_of(edge, side) & low_mask;
    if (HAS_MATE(counters, node)) APPEND(to, edge, !side, low_bits);
  }
}

/* Bring what is left together in `core`, in any order. One work-group a bucket. */
kernel void collect(LIST(from), global uint2 *core, global uint *core_size,
                    const uint core_capacity) {
  local uint start;
  const uint bucket = get_group_id(0), lane = get_local_id(0), lanes = get_local_size(0);
  const uint size = min(from_counts[bucket], from_capacity);
  global const uint2 *edges = BUCKET(from, bucket);
  if (lane == 0) start = atomic_add(core_size, size);
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint i = lane; i < size; i += lanes)
    if (start + i < core_capacity) core[start + i] = edges[i];
}

/* ---- Recovery --------------------------------------------------------------------------- */

#define SIEVE_BITS 16

/* Find the edge numbers of `wanted` (node u, node v): each match has the edge in its low half, the
 * place in `wanted` in its high half.
 * `sieve` has bit u % 2^SIEVE_BITS set for each wanted u. One work-item a block. */
kernel void recover(const ulong4 keys, const uint edge_bits, global const uint *sieve,
                    global const uint2 *wanted, const uint wanted_size, global ulong *matches,
                    global uint *matches_size, const uint matches_capacity) {
  const size_t number = get_global_id(0);
  const uint mask = cuckoo_mask(edge_bits);
  edge_block block;
  begin_block(&block, keys, number);
  for (uint i = 0; i < CUCKOO_BLOCK_EDGES; ++i) {
    const uint2 edge = edge_of_block(&block, i, mask);
    const uint at = edge.x & ((1u << SIEVE_BITS) - 1);
    if (!(sieve[at / 32] >> at % 32 & 1)) continue;
    for (uint w = 0; w < wanted_size; ++w) {
      if (wanted[w].x != edge.x || wanted[w].y != edge.y) continue;
      const uint place = atomic_inc(matches_size);
      if (place < matches_capacity) matches[place] = (ulong)w << 32 | (block.first + i);
    }
  }
}
