// SipHash over a block of 64 edges, the plain way: for the verifier and as the reference.
#pragma once

#include <cstdint>

#include "farmcpu.h"

namespace farmcpu {

// Words of the block that holds `edge` (cortex-protocol: state carried through the block,
// each word but the last xored with the last).
void siphash_block(const farmcpu_graph &graph, std::uint64_t edge, std::uint64_t words[64]);

struct Endpoints {
  std::uint32_t u, v;
};

inline Endpoints endpoints_of(std::uint64_t word, std::uint32_t edge_bits) {
  const std::uint64_t mask = (std::uint64_t{1} << edge_bits) - 1;
  return {static_cast<std::uint32_t>(word & mask), static_cast<std::uint32_t>((word >> 32) & mask)};
}

}  // namespace farmcpu
