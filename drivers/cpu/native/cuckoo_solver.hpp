// Edge trimming. All edges are thinned out, round by round and side by side, to those whose
// node has another edge; what is left is peeled to the exact 2-core and searched for cycles.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "cuckoo.hpp"
#include "cuckoo_buckets.hpp"
#include "stopwatch.hpp"

namespace farmcpu {

inline constexpr std::uint32_t kMaxSolverEdgeBits = 30;

class Stopped {};

class Solver {
 public:
  Solver(std::uint32_t edge_bits, std::uint64_t memory_limit_bytes);

  // Each cycle as its edges, ascending and verified. Throws Stopped.
  std::vector<std::vector<std::uint32_t>> solve(const farmcpu_graph &graph,
                                                const volatile std::int32_t *stop);

  std::uint32_t edge_bits() const { return edge_bits_; }
  const std::vector<std::uint64_t> &survivors() const { return survivors_; }
  const farmcpu_phases &phases() const { return phases_; }

 private:
  struct Lean;

  void generate(const farmcpu_graph &graph, const volatile std::int32_t *stop);
  void generate_lean(const farmcpu_graph &graph, const volatile std::int32_t *stop);
  std::uint64_t trim(bool by_v);
  std::vector<Endpoints> collect();
  std::vector<std::uint32_t> recover(const farmcpu_graph &graph,
                                     const volatile std::int32_t *stop,
                                     const std::vector<Endpoints> &core,
                                     const std::vector<bool> &wanted) const;

  std::uint64_t edges() const { return std::uint64_t{1} << edge_bits_; }
  std::uint32_t low_bits() const { return edge_bits_ - bucket_bits_; }

  std::uint32_t edge_bits_, bucket_bits_, lean_rounds_ = 0;
  std::optional<ChunkArena> arena_;
  std::optional<Buckets> near_, far_;
  std::vector<std::uint8_t> counters_;
  std::unique_ptr<Lean> lean_;
  std::vector<std::uint64_t> survivors_;
  farmcpu_phases phases_{};

 public:
  ~Solver();
};

}  // namespace farmcpu
