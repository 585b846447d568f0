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

// Bytes that it takes.
std::uint64_t mean_bytes(std::uint32_t edge_bits);

class Solver final : public GraphSolver {
 public:
  explicit Solver(std::uint32_t edge_bits);

  std::vector<std::vector<std::uint32_t>> solve(const farmcpu_graph &graph,
                                                const volatile std::int32_t *stop) override;

 private:
  void generate(const farmcpu_graph &graph, const volatile std::int32_t *stop);
  std::uint64_t trim(bool by_v);
  std::vector<Endpoints> collect();
  std::vector<std::uint32_t> recover(const farmcpu_graph &graph,
                                     const volatile std::int32_t *stop,
                                     const std::vector<Endpoints> &core,
                                     const std::vector<bool> &wanted) const;

  std::uint64_t edges() const { return std::uint64_t{1} << edge_bits_; }
  std::uint32_t low_bits() const { return edge_bits_ - bucket_bits_; }

  std::uint32_t edge_bits_, bucket_bits_;
  std::optional<ChunkArena> arena_;
  std::optional<Buckets> near_, far_;
  std::vector<std::uint8_t> counters_;
};

}  // namespace farmcpu
