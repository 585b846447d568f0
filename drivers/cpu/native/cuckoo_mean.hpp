// The solver that holds every edge: lists sorted by one side's nodes are trimmed into lists sorted
// by the other's, until so few edges are left that the exact 2-core is quickly found.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "cuckoo.hpp"
#include "mean_kernels.hpp"
#include "mutex.hpp"
#include "pages.hpp"

namespace farmcpu {

class OutOfChunks : public std::bad_alloc {};

// The memory that all threads take their chunks from.
class SharedChunks {
 public:
  explicit SharedChunks(std::size_t chunks);
  static std::size_t bytes(std::size_t chunks);

  void reset(std::vector<ChunkPool> &pools);
  // Gather what the threads have free, for whoever needs it.
  void collect(std::vector<ChunkPool> &pools);
  void refill(ChunkPool &pool);

 private:
  std::size_t chunks_;
  Pages memory_;
  Mutex lock_;
  std::uint8_t *fresh_ = nullptr, *free_ = nullptr;
};

class MeanSolver final : public GraphSolver {
 public:
  MeanSolver(std::uint32_t edge_bits, std::uint32_t threads);

  // Memory of such a solver.
  static std::uint64_t bytes(std::uint32_t edge_bits, std::uint32_t threads);

  std::vector<std::vector<std::uint32_t>> solve(const farmcpu_graph &graph,
                                                const volatile std::int32_t *stop) override;

 private:
  using Names = std::vector<std::vector<std::uint32_t>>;  // a bucket's old keys by name

  void generate();
  void trim_all();
  std::uint64_t trim(Names *names);
  void count_named();
  std::vector<Endpoints> collect() const;
  std::uint32_t node_of(std::uint32_t number, std::uint32_t side) const;
  void check_stop() const;

  MeanShape shape_;
  std::uint32_t threads_, rounds_ = 0;
  SharedChunks chunks_;
  std::vector<ChunkPool> pools_;
  std::vector<MeanLists> near_, far_;  // one a thread
  Pages memory_;                       // cursors and scratch of all threads
  std::vector<MeanScratch> scratch_;
  Names names_[2];  // of u and of v
  const farmcpu_graph *graph_ = nullptr;
  const volatile std::int32_t *stop_ = nullptr;
};

}  // namespace farmcpu
