#include "siphash.hpp"

namespace farmcpu {
namespace {

cuckoo_state begin(const farmcpu_graph &graph) {
  return cuckoo_begin(graph.keys[0], graph.keys[1], graph.keys[2], graph.keys[3]);
}

}  // namespace

void siphash_block(const farmcpu_graph &graph, std::uint64_t edge, std::uint64_t words[64]) {
  cuckoo_state state = begin(graph);
  const std::uint64_t first = edge & ~std::uint64_t{63};
  for (std::uint64_t i = 0; i < 64; ++i)
    words[i] =
        cuckoo_hash(&state, first + i, graph.compression_rounds, graph.finalisation_rounds);
  for (int i = 0; i < 63; ++i) words[i] ^= words[63];
}

Endpoints endpoints_of_edge(const farmcpu_graph &graph, std::uint32_t edge) {
  if (graph.cycle == CUCKOO_CUCKAROO) {
    std::uint64_t words[64];
    siphash_block(graph, edge, words);
    return endpoints_of(words[edge % 64], graph.edge_bits);
  }
  const auto node = [&](std::uint32_t side) {
    return cuckatoo_node(begin(graph), edge, side, graph.compression_rounds,
                         graph.finalisation_rounds, cuckoo_mask(graph.edge_bits));
  };
  return {node(0), node(1)};
}

}  // namespace farmcpu
