/* Cuckoo Cycle's verifier, over the graphs' own arithmetic (drivers/kernels/cuckoo_graph.h): any
 * size, any SipHash rounds, by the rules of J. Tromp's reference. */
#include "cuckoo_graph.h"

#include "stick.h"

enum { MOST_EDGES = 64 };

static uint64_t hash(cuckoo_state *state, const struct cuckoo_graph *graph, uint64_t input) {
  return cuckoo_hash(state, input, graph->compression, graph->finalisation);
}

static cuckoo_state start(const struct cuckoo_graph *graph) {
  const uint64_t *k = graph->keys;
  return cuckoo_begin(k[0], k[1], k[2], k[3]);
}

/* Cuckaroo hashes blocks of 64 edges with a state that is carried on. */
static uint64_t block_word(const struct cuckoo_graph *graph, uint32_t edge) {
  cuckoo_state state = start(graph);
  uint64_t word = 0, last = 0;
  const uint32_t first = edge & ~(uint32_t)(CUCKOO_BLOCK_EDGES - 1);
  for (uint32_t i = 0; i < CUCKOO_BLOCK_EDGES; ++i) {
    last = hash(&state, graph, (uint64_t)first + i);
    if (first + i == edge) word = last;
  }
  return edge == first + CUCKOO_BLOCK_EDGES - 1 ? last : word ^ last;
}

static void find_ends(const struct cuckoo_graph *graph, uint32_t edge, uint32_t ends[2]) {
  const uint32_t mask = (uint32_t)(((uint64_t)1 << graph->edge_bits) - 1);
  if (graph->cycle == CUCKOO_CUCKATOO) {
    for (uint32_t side = 0; side < 2; ++side) {
      cuckoo_state state = start(graph);
      ends[side] = (uint32_t)hash(&state, graph, 2 * (uint64_t)edge + side) & mask;
    }
  } else {
    const uint64_t word = block_word(graph, edge);
    ends[0] = (uint32_t)word & mask;
    ends[1] = (uint32_t)(word >> 32) & mask;
  }
}

static int is_sound(const struct cuckoo_graph *graph) {
  return graph->edge_bits >= 6 && graph->edge_bits <= 32 && graph->proof_size >= 2 &&
         graph->proof_size <= MOST_EDGES && graph->proof_size % 2 == 0 && graph->compression >= 1 &&
         graph->compression <= 16 && graph->finalisation >= 1 && graph->finalisation <= 16 &&
         graph->cycle <= CUCKOO_CUCKATOO;
}

static int in_order(const struct cuckoo_graph *graph, const uint32_t *edges) {
  const uint64_t count = (uint64_t)1 << graph->edge_bits;
  for (uint32_t i = 0; i < graph->proof_size; ++i)
    if (edges[i] >= count || (i && edges[i] <= edges[i - 1])) return 0;
  return 1;
}

/* The one end that meets another on its side; the end itself where there is not just one. */
static uint32_t find_partner(const uint32_t *ends, uint32_t count, uint32_t at, uint32_t pair) {
  uint32_t found = at;
  for (uint32_t k = at & 1; k < count; k += 2) {
    if (k == at || (ends[k] | pair) != (ends[at] | pair)) continue;
    if (found != at) return at;
    found = k;
  }
  return ends[found] == (ends[at] ^ pair) ? found : at;
}

static int walk(const uint32_t *ends, uint32_t size, uint32_t pair) {
  uint32_t at = 0, length = 0;
  do {
    const uint32_t met = find_partner(ends, 2 * size, at, pair);
    if (met == at) return 0;
    at = met ^ 1;
    ++length;
  } while (at != 0 && length <= size);
  return at == 0 && length == size;
}

int cuckoo_verify(const struct cuckoo_graph *graph, const uint32_t *edges) {
  uint32_t ends[2 * MOST_EDGES];
  if (!is_sound(graph)) return VERDICT_BAD_GRAPH;
  if (!in_order(graph, edges)) return 0;
  for (uint32_t i = 0; i < graph->proof_size; ++i) {
    if (stick_is_cancelled()) return VERDICT_CANCELLED;
    find_ends(graph, edges[i], ends + 2 * i);
  }
  return walk(ends, graph->proof_size, graph->cycle);
}
