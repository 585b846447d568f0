// The solver for little memory: a bit an edge and about three a node. Edges are hashed anew for
// each round until their list fits; then the list is trimmed.
#pragma once

#include <memory>
#include <vector>

#include "cuckoo.hpp"
#include "cuckoo_edges.hpp"
#include "lean_buckets.hpp"
#include "lean_lists.hpp"
#include "mutex.hpp"
#include "stopwatch.hpp"

namespace farmcpu {

// How the memory is shared out; sizes in bytes.
struct LeanPlan {
  std::uint32_t edge_bits, cycle, threads;
  std::uint32_t test_slice_bits, count_slice_bits, list_slice_bits;
  std::size_t test_capacity, count_capacity;  // entries a bucket of a thread holds
  std::uint32_t bitmap_rounds;                // rounds before the list is made

  std::uint64_t edges() const { return std::uint64_t{1} << edge_bits; }
  std::size_t buckets(std::uint32_t slice_bits) const {
    return std::size_t{1} << (edge_bits - slice_bits);
  }
  std::size_t counter_bytes() const;
  std::size_t thread_bytes() const;
  std::uint64_t list_edges() const;
  std::uint64_t peak_bytes() const;
};

// The plan that makes most of the memory; throws std::bad_alloc if none fits.
LeanPlan plan_lean(std::uint32_t edge_bits, std::uint32_t cycle, std::uint32_t threads,
                   std::uint64_t memory_limit_bytes);

// The least memory there is a plan for.
std::uint64_t least_lean_bytes(std::uint32_t edge_bits, std::uint32_t cycle,
                               std::uint32_t threads);

class LeanSolver final : public GraphSolver {
 public:
  explicit LeanSolver(const LeanPlan &plan);

  std::vector<std::vector<std::uint32_t>> solve(const farmcpu_graph &graph,
                                                const volatile std::int32_t *stop) override;

 private:
  template <typename Set>
  void thin_out();
  template <typename Set>
  void count_all();
  template <typename Set>
  void test_and_count(std::uint32_t round);
  template <typename Set>
  void finish_counting();
  void test_and_list(std::uint32_t round);
  void trim(std::uint32_t round);
  std::uint64_t trim_bucket(std::uint32_t round, std::size_t bucket,
                            std::vector<std::uint8_t> &seen, EdgeLists &kept);
  std::vector<Endpoints> collect();
  void lap(std::uint32_t round);

  template <typename Visit>
  void for_each_group(std::uint64_t window, bool all, Visit visit);
  template <typename Sink>
  std::uint64_t test_window(std::uint64_t window, std::uint32_t round, TestingBuckets &waiting,
                            Sink sink);
  template <typename Set>
  CountingBuckets<Set> counting(std::uint32_t thread);
  TestingBuckets testing(std::uint32_t thread);

  LeanPlan plan_;
  std::uint64_t window_edges_;
  Pages alive_, passing_, counters_, buffers_;
  std::vector<Mutex> locks_;  // one a slice of the counters
  ListArena arena_;
  std::vector<EdgeLists> near_, far_;  // one a thread
  Stopwatch watch_;
  const farmcpu_graph *graph_ = nullptr;
  const volatile std::int32_t *stop_ = nullptr;
};

}  // namespace farmcpu
