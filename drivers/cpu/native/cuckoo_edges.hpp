// Both ends of the edges that are still alive, a group at a time.
#pragma once

#include "isa.hpp"
#include "siphash.hpp"

namespace farmcpu {

inline constexpr std::size_t kGroupEdges = kLanes * kBlockEdges;
inline constexpr std::size_t kGroupWords = kGroupEdges / 64;  // bits of a group, in words

struct GroupEnds {
  std::size_t count;
  std::uint16_t at[kGroupEdges];  // which edges of the group
  std::uint32_t u[kGroupEdges], v[kGroupEdges];
};

// Ends of those of the edges first ... first + kGroupEdges - 1 whose bits in `alive` are set, in
// any order.
void hash_group(const farmcpu_graph &graph, std::uint64_t first, const std::uint64_t *alive,
                GroupEnds &ends);

}  // namespace farmcpu
