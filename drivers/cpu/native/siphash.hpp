// Edges the plain way: for the verifier and as the reference.
#pragma once

#include <cstdint>

#include "cuckoo_graph.h"
#include "farmcpu.h"

namespace farmcpu {

// Words of the block that holds `edge` in Cuckaroo.
void siphash_block(const farmcpu_graph &graph, std::uint64_t edge, std::uint64_t words[64]);

struct Endpoints {
  std::uint32_t u, v;
};

inline Endpoints endpoints_of(std::uint64_t word, std::uint32_t edge_bits) {
  const std::uint32_t mask = cuckoo_mask(edge_bits);
  return {cuckaroo_node(word, 0, mask), cuckaroo_node(word, 1, mask)};
}

Endpoints endpoints_of_edge(const farmcpu_graph &graph, std::uint32_t edge);

}  // namespace farmcpu
