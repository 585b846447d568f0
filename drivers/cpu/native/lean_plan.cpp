#include <algorithm>
#include <cmath>
#include <new>
#include <optional>

#include "cuckoo_lean.hpp"
#include "lean_nodes.hpp"

namespace farmcpu {
namespace {

// More waiting entries a bucket bring no more speed; with fewer, slices come and go too often.
constexpr std::size_t kMostWaiting = 16384, kLeastWaiting = 512;
constexpr std::uint32_t kMostBitmapRounds = 40;
// The list's own chunks, and edges in excess of the expectation.
constexpr double kListSlack = 1.03;

// Edges left after so many rounds, as a share of all (measured; any size and kind).
double left_after(std::uint32_t rounds) {
  constexpr double kLeft[] = {1, .632, .296, .175, .117, .084, .063, .049, .040};
  return rounds < std::size(kLeft) ? kLeft[rounds] : 3.4 / ((rounds + 1.) * (rounds + 1.));
}

// Nanoseconds an edge, roughly: a round hashes all edges of Cuckaroo again, and each visit to a
// slice reads it once, or to count, reads and writes it.
double cost(const LeanPlan &plan) {
  constexpr double kHash = 3, kBytes = 25, kVisits = 2.3;  // sum of all shares left
  const double test = double(std::size_t{1} << plan.test_slice_bits) / 8;
  const double count = double(plan.counter_bytes()) / double(plan.buckets(plan.count_slice_bits));
  const double rounds = plan.cycle == CUCKOO_CUCKAROO ? kHash * plan.bitmap_rounds : 0;
  return rounds + kVisits / kBytes * (test / double(plan.test_capacity) +
                                      2 * count / double(plan.count_capacity));
}

}  // namespace

std::size_t LeanPlan::counter_bytes() const {
  return buckets(count_slice_bits) * (cycle == CUCKOO_CUCKAROO
                                          ? TimesSeen::slice_bytes(count_slice_bits)
                                          : Seen::slice_bytes(count_slice_bits));
}

std::size_t LeanPlan::thread_bytes() const {
  return WaitingBuckets::bytes(buckets(test_slice_bits), TestingBuckets::kEntryBytes,
                               test_capacity) +
         WaitingBuckets::bytes(buckets(count_slice_bits), CountingBuckets<Seen>::kEntryBytes,
                               count_capacity);
}

std::uint64_t LeanPlan::list_edges() const {
  // Each thread has a chunk not yet full in each bucket of two sets of lists.
  return static_cast<std::uint64_t>(std::ceil(left_after(bitmap_rounds) * kListSlack *
                                              static_cast<double>(edges()))) +
         2 * ListChunk::kEdges * (threads * buckets(list_slice_bits) + 1);
}

std::uint64_t LeanPlan::peak_bytes() const {
  const std::uint64_t bitmaps = 2 * edges() / 8 + counter_bytes();
  // While the list grows, the bitmap of edges shrinks.
  const std::uint64_t listing = edges() / 8 + list_edges() * sizeof(Endpoints);
  return std::max(bitmaps, listing) + threads * thread_bytes();
}

LeanPlan plan_lean(std::uint32_t edge_bits, std::uint32_t cycle, std::uint32_t threads,
                   std::uint64_t memory_limit_bytes) {
  const std::uint32_t count_bits =
      cycle == CUCKOO_CUCKAROO ? TimesSeen::kSliceBits : Seen::kSliceBits;
  LeanPlan plan{.edge_bits = edge_bits,
                .cycle = cycle,
                .threads = threads,
                .test_slice_bits = std::min(edge_bits, TestingBuckets::kMaxSliceBits),
                .count_slice_bits = std::min(edge_bits, count_bits),
                .list_slice_bits = std::min(edge_bits, 20u),
                .test_capacity = kMostWaiting,
                .count_capacity = kMostWaiting,
                .bitmap_rounds = 1};
  std::optional<LeanPlan> best;
  for (std::size_t waiting = kLeastWaiting; waiting <= kMostWaiting; waiting += kLeastWaiting) {
    plan.test_capacity = plan.count_capacity = waiting;
    plan.bitmap_rounds = 1;
    while (plan.bitmap_rounds < kMostBitmapRounds && plan.peak_bytes() > memory_limit_bytes)
      ++plan.bitmap_rounds;
    const bool fits = plan.peak_bytes() <= memory_limit_bytes;
    if (fits && (!best || cost(plan) < cost(*best))) best = plan;
  }
  if (!best) throw std::bad_alloc();
  return *best;
}

std::uint64_t least_lean_bytes(std::uint32_t edge_bits, std::uint32_t cycle,
                               std::uint32_t threads) {
  LeanPlan plan = plan_lean(edge_bits, cycle, threads, ~std::uint64_t{0});
  plan.test_capacity = plan.count_capacity = kLeastWaiting;
  plan.bitmap_rounds = kMostBitmapRounds;
  return plan.peak_bytes();
}

}  // namespace farmcpu
