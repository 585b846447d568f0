// Parts of the solvers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "farmcpu.h"
#include "siphash.hpp"

namespace farmcpu {

inline constexpr std::uint32_t kMinEdgeBits = 10, kMaxEdgeBits = 32;
inline constexpr std::uint32_t kMaxProofSize = 64;

class Stopped {};  // thrown where a search was told to stop

bool is_sound(const farmcpu_graph &graph);

farmcpu_proof verify(const farmcpu_graph &graph, const std::uint32_t *edges, std::size_t count);

// Drop, until nothing changes, every edge with an end that meets no other edge: none there has
// node ^ `pair` (cuckoo_graph.h). Returns where those that are left were.
std::vector<std::uint32_t> peel(std::vector<Endpoints> &edges, std::uint32_t pair = 0);

// Every cycle of `length` edges that passes no place twice, as ascending indices into `edges`.
// The search is bounded; a graph that would pass the bound (none known does) loses its further
// cycles.
std::vector<std::vector<std::uint32_t>> find_cycles(const std::vector<Endpoints> &edges,
                                                    std::uint32_t length, std::uint32_t pair = 0);

// What all solvers are. One search at a time.
class GraphSolver {
 public:
  virtual ~GraphSolver() = default;

  // Each cycle as its edges, ascending and verified. Throws Stopped.
  virtual std::vector<std::vector<std::uint32_t>> solve(const farmcpu_graph &graph,
                                                        const volatile std::int32_t *stop) = 0;

  // Of the last graph: edges there were, and edges left after each trimming round.
  const std::vector<std::uint64_t> &survivors() const { return survivors_; }
  const farmcpu_phases &phases() const { return phases_; }

 protected:
  std::vector<std::uint64_t> survivors_;
  farmcpu_phases phases_{};
};

}  // namespace farmcpu
