#include "cuckoo_edges.hpp"

#include <algorithm>
#include <bit>

namespace farmcpu {
namespace {

std::size_t list(const std::uint64_t *alive, std::uint16_t *at) {
  std::size_t count = 0;
  for (std::size_t w = 0; w < kGroupWords; ++w)
    for (std::uint64_t rest = alive[w]; rest; rest &= rest - 1)
      at[count++] = static_cast<std::uint16_t>(w * 64 + std::countr_zero(rest));
  return count;
}

// All edges of the group, in the order that their words come in.
void hash_all(const farmcpu_graph &graph, std::uint64_t first, GroupEnds &ends) {
  alignas(64) std::uint64_t words[kGroupEdges];
  kernels().siphash_blocks(graph.keys, graph.compression_rounds, graph.finalisation_rounds, first,
                           words);
  const std::uint32_t mask = cuckoo_mask(graph.edge_bits);
  ends.count = kGroupEdges;
  for (std::size_t i = 0; i < kGroupEdges; ++i) {
    ends.at[i] = static_cast<std::uint16_t>(i % kLanes * kBlockEdges + i / kLanes);
    ends.u[i] = cuckaroo_node(words[i], 0, mask);
    ends.v[i] = cuckaroo_node(words[i], 1, mask);
  }
}

// Whole blocks, of which a word is taken for each edge.
void hash_blocks(const farmcpu_graph &graph, std::uint64_t first, GroupEnds &ends) {
  alignas(64) std::uint64_t words[kGroupEdges];
  kernels().siphash_blocks(graph.keys, graph.compression_rounds, graph.finalisation_rounds, first,
                           words);
  const std::uint32_t mask = cuckoo_mask(graph.edge_bits);
  for (std::size_t i = 0; i < ends.count; ++i) {
    const std::size_t at = ends.at[i];
    const std::uint64_t word = words[at % kBlockEdges * kLanes + at / kBlockEdges];
    ends.u[i] = cuckaroo_node(word, 0, mask);
    ends.v[i] = cuckaroo_node(word, 1, mask);
  }
}

// Each node by itself.
void hash_nodes(const farmcpu_graph &graph, std::uint64_t first, GroupEnds &ends) {
  alignas(64) std::uint64_t words[kGroupEdges];
  const std::uint32_t mask = cuckoo_mask(graph.edge_bits);
  const std::size_t padded = (ends.count + kLanes - 1) / kLanes * kLanes;
  for (std::uint64_t side = 0; side < 2; ++side) {
    for (std::size_t i = 0; i < ends.count; ++i) words[i] = 2 * (first + ends.at[i]) + side;
    std::fill(words + ends.count, words + padded, 0);
    kernels().siphash_each(graph.keys, graph.compression_rounds, graph.finalisation_rounds, words,
                           padded);
    std::uint32_t *nodes = side ? ends.v : ends.u;
    for (std::size_t i = 0; i < ends.count; ++i)
      nodes[i] = static_cast<std::uint32_t>(words[i]) & mask;
  }
}

}  // namespace

void hash_group(const farmcpu_graph &graph, std::uint64_t first, const std::uint64_t *alive,
                GroupEnds &ends) {
  const bool all = std::all_of(alive, alive + kGroupWords, [](auto w) { return !~w; });
  if (all && graph.cycle == CUCKOO_CUCKAROO) return hash_all(graph, first, ends);
  ends.count = list(alive, ends.at);
  if (!ends.count) return;
  if (graph.cycle == CUCKOO_CUCKAROO)
    hash_blocks(graph, first, ends);
  else
    hash_nodes(graph, first, ends);
}

}  // namespace farmcpu
