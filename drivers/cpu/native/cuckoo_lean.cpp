#include "cuckoo_lean.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "cuckoo_recovery.hpp"
#include "lean_nodes.hpp"
#include "parallel.hpp"

namespace farmcpu {
namespace {

constexpr std::uint32_t kMaxRounds = 400;
constexpr std::uint64_t kWindowsPerThread = 8;

constexpr auto kAllAlive = [] {
  std::array<std::uint64_t, kGroupWords> all{};
  all.fill(~std::uint64_t{0});
  return all;
}();

// Numbers below `count` to any thread that asks, each once.
class Tickets {
 public:
  explicit Tickets(std::uint64_t count) : count_(count) {}
  bool take(std::uint64_t &number) { return (number = next_++) < count_; }

 private:
  std::atomic<std::uint64_t> next_{0};
  std::uint64_t count_;
};

}  // namespace

LeanSolver::LeanSolver(const LeanPlan &plan)
    : plan_(plan),
      alive_(plan.edges() / 8),
      passing_(plan.edges() / 8),
      counters_(plan.counter_bytes()),
      buffers_(plan.threads * plan.thread_bytes()),
      locks_(plan.buckets(plan.count_slice_bits)),
      arena_(plan.list_edges() + plan.list_edges() / 4) {
  const std::uint64_t most = std::uint64_t{1}
                             << std::min(plan.edge_bits, TestingBuckets::window_bits(
                                                             plan.edge_bits, plan.test_slice_bits));
  const std::uint64_t share = std::bit_floor(plan.edges() / (plan.threads * kWindowsPerThread));
  window_edges_ = std::max<std::uint64_t>(std::min(most, share), kGroupEdges);
  for (auto *lists : {&near_, &far_})
    lists->assign(plan.threads, EdgeLists(arena_, plan.buckets(plan.list_slice_bits)));
}

template <typename Set>
CountingBuckets<Set> LeanSolver::counting(std::uint32_t thread) {
  const std::size_t buckets = plan_.buckets(plan_.count_slice_bits);
  std::uint8_t *memory = buffers_.data() + thread * plan_.thread_bytes();
  return {WaitingBuckets(memory, buckets, CountingBuckets<Set>::kEntryBytes, plan_.count_capacity),
          counters_.data(), plan_.count_slice_bits, locks_};
}

TestingBuckets LeanSolver::testing(std::uint32_t thread) {
  const std::size_t buckets = plan_.buckets(plan_.test_slice_bits);
  std::uint8_t *memory = buffers_.data() + (thread + 1) * plan_.thread_bytes() -
                         WaitingBuckets::bytes(buckets, TestingBuckets::kEntryBytes,
                                               plan_.test_capacity);
  return {WaitingBuckets(memory, buckets, TestingBuckets::kEntryBytes, plan_.test_capacity),
          passing_.data(), plan_.edge_bits, plan_.test_slice_bits};
}

// Visits the ends of all edges of a window, or of those alive, which are dead from then on.
template <typename Visit>
void LeanSolver::for_each_group(std::uint64_t window, bool all, Visit visit) {
  GroupEnds ends;
  std::uint64_t alive[kGroupWords];
  for (std::uint64_t first = 0; first < window_edges_; first += kGroupEdges) {
    if (stop_ && *stop_) throw Stopped();
    const std::uint64_t edge = window * window_edges_ + first;
    if (all) {
      hash_group(*graph_, edge, kAllAlive.data(), ends);
    } else {
      std::memcpy(alive, alive_.data() + edge / 8, sizeof alive);
      std::memset(alive_.data() + edge / 8, 0, sizeof alive);
      hash_group(*graph_, edge, alive, ends);
    }
    visit(first, ends);
  }
}

template <typename Set>
void LeanSolver::count_all() {
  std::memset(counters_.data(), 0, counters_.bytes());
  Tickets windows(plan_.edges() / window_edges_);
  run_parallel(plan_.threads, [&](std::uint32_t thread) {
    auto nodes = counting<Set>(thread);
    for (std::uint64_t window; windows.take(window);)
      for_each_group(window, true, [to = nodes.writer()](std::uint64_t, const GroupEnds &ends) {
        for (std::size_t i = 0; i < ends.count; ++i) to.push_if(true, ends.u[i]);
      });
    nodes.drain();
  });
}

// Tests the window's edges by one side; those that pass are alive again. Calls
// sink(passes, node, other node) for each, and returns how many pass.
template <typename Sink>
std::uint64_t LeanSolver::test_window(std::uint64_t window, std::uint32_t round,
                                      TestingBuckets &waiting, Sink sink) {
  std::uint8_t *const alive = alive_.data() + window * window_edges_ / 8;
  const auto tested = [alive, sink](bool passes, std::uint32_t node, std::uint32_t other,
                                    std::uint64_t number) {
    alive[number / 8] |= static_cast<std::uint8_t>(passes << number % 8);
    sink(passes, node, other);
  };
  if (round == 0) std::memset(alive, 0, window_edges_ / 8);
  std::uint64_t passed = 0;
  const auto visit = [&, to = waiting.writer()](std::uint64_t first, const GroupEnds &ends) {
    const std::uint32_t *nodes = round % 2 ? ends.v : ends.u;
    const std::uint32_t *others = round % 2 ? ends.u : ends.v;
    for (std::size_t i = 0; i < ends.count; ++i) {
      const std::size_t full = to.push(nodes[i], others[i], first + ends.at[i]);
      if (full != TestingBuckets::kNone) [[unlikely]]
        passed += waiting.drain(full, tested);
    }
  };
  for_each_group(window, round == 0, visit);
  for (std::size_t b = 0; b < waiting.count(); ++b) passed += waiting.drain(b, tested);
  return passed;
}

// Test by the side of `round`, and count the survivors' nodes of the other side.
template <typename Set>
void LeanSolver::test_and_count(std::uint32_t round) {
  std::memset(counters_.data(), 0, counters_.bytes());
  Tickets windows(plan_.edges() / window_edges_);
  std::atomic<std::uint64_t> left{0};
  run_parallel(plan_.threads, [&](std::uint32_t thread) {
    auto nodes = counting<Set>(thread);
    auto waiting = testing(thread);
    std::uint64_t passed = 0;
    for (std::uint64_t window; windows.take(window);)
      passed += test_window(window, round, waiting,
                            [to = nodes.writer()](bool passes, std::uint32_t,
                                                  std::uint32_t other) { to.push_if(passes, other); });
    nodes.drain();
    left += passed;
  });
  survivors_.push_back(left);
}

// What was counted becomes what passes.
template <typename Set>
void LeanSolver::finish_counting() {
  Tickets slices(plan_.buckets(plan_.count_slice_bits));
  const std::uint32_t bits = plan_.count_slice_bits;
  run_parallel(plan_.threads, [&](std::uint32_t) {
    for (std::uint64_t slice; slices.take(slice);)
      Set::finish(counters_.data() + slice * Set::slice_bytes(bits), bits,
                  passing_.data() + (slice << bits) / 8);
  });
}

// Test by the side of `round`, and list the survivors by the other side.
void LeanSolver::test_and_list(std::uint32_t round) {
  counters_.release();
  Tickets windows(plan_.edges() / window_edges_);
  std::atomic<std::uint64_t> left{0};
  run_parallel(plan_.threads, [&](std::uint32_t thread) {
    auto waiting = testing(thread);
    std::uint64_t passed = 0;
    for (std::uint64_t window; windows.take(window);) {
      passed += test_window(
          window, round, waiting,
          [=, &lists = near_[thread], slice_bits = plan_.list_slice_bits](
              bool passes, std::uint32_t node, std::uint32_t other) {
            const Endpoints e = round % 2 ? Endpoints{other, node} : Endpoints{node, other};
            lists.push_if(passes, std::uint64_t{other} >> slice_bits, e);
          });
      alive_.release(window * window_edges_ / 8, (window + 1) * window_edges_ / 8);
    }
    left += passed;
  });
  passing_.release();
  survivors_.push_back(left);
}

template <typename Set>
void LeanSolver::thin_out() {
  count_all<Set>();
  finish_counting<Set>();
  phases_.generation = watch_.lap();
  for (std::uint32_t round = 0; round + 1 < plan_.bitmap_rounds; ++round) {
    test_and_count<Set>(round);
    finish_counting<Set>();
    lap(round);
  }
  test_and_list(plan_.bitmap_rounds - 1);
  lap(plan_.bitmap_rounds - 1);
}

// One bucket of the lists, sorted by the side looked at; what is left goes to `kept`, by the
// other side.
std::uint64_t LeanSolver::trim_bucket(std::uint32_t round, std::size_t bucket,
                                      std::vector<std::uint8_t> &seen, EdgeLists &kept) {
  const std::uint32_t shift = plan_.list_slice_bits, mask = (1u << shift) - 1;
  const std::uint32_t pair = plan_.cycle, enough = pair ? 1 : 2;
  const bool by_v = round % 2;
  std::fill(seen.begin(), seen.end(), 0);
  for (const EdgeLists &lists : near_)
    lists.for_each(bucket, [&](Endpoints e) {
      std::uint8_t &times = seen[(by_v ? e.v : e.u) & mask];
      times = times << 1 | 1;  // 0, 1, 3, 7 ...: bit 1 says two or more
    });
  std::uint64_t left = 0;
  for (EdgeLists &lists : near_)
    lists.drain(bucket, [&](Endpoints e) {
      const bool keep = seen[((by_v ? e.v : e.u) & mask) ^ pair] & enough;
      kept.push_if(keep, (by_v ? e.u : e.v) >> shift, e);
      left += keep;
    });
  return left;
}

void LeanSolver::trim(std::uint32_t round) {
  Tickets buckets(plan_.buckets(plan_.list_slice_bits));
  std::atomic<std::uint64_t> left{0};
  run_parallel(plan_.threads, [&](std::uint32_t thread) {
    std::vector<std::uint8_t> seen(std::size_t{1} << plan_.list_slice_bits);
    for (std::uint64_t bucket; buckets.take(bucket);) {
      if (stop_ && *stop_) throw Stopped();
      left += trim_bucket(round, bucket, seen, far_[thread]);
    }
  });
  near_.swap(far_);
  survivors_.push_back(left);
}

std::vector<Endpoints> LeanSolver::collect() {
  std::vector<Endpoints> edges;
  edges.reserve(survivors_.back());
  for (EdgeLists &lists : near_)
    for (std::size_t b = 0; b < lists.count(); ++b)
      lists.drain(b, [&](Endpoints e) { edges.push_back(e); });
  return edges;
}

std::vector<std::vector<std::uint32_t>> LeanSolver::solve(const farmcpu_graph &graph,
                                                          const volatile std::int32_t *stop) {
  graph_ = &graph;
  stop_ = stop;
  phases_ = {};
  watch_.lap();
  arena_.clear();
  for (auto *lists : {&near_, &far_})
    lists->assign(plan_.threads, EdgeLists(arena_, plan_.buckets(plan_.list_slice_bits)));
  survivors_.assign(1, plan_.edges());
  plan_.cycle == CUCKOO_CUCKAROO ? thin_out<TimesSeen>() : thin_out<Seen>();
  const std::uint64_t enough = std::max<std::uint64_t>(plan_.edges() >> 9, 64);
  for (std::uint32_t round = plan_.bitmap_rounds; round < kMaxRounds; ++round) {
    if (survivors_.back() <= enough) break;
    trim(round);
    lap(round);
  }
  std::vector<Endpoints> left = collect();
  arena_.clear();  // its memory is wanted for the search
  return cycles_among(graph, stop, plan_.threads, std::move(left), phases_);
}

void LeanSolver::lap(std::uint32_t round) {
  (round < FARMCPU_TIMED_ROUNDS ? phases_.rounds[round] : phases_.tail) += watch_.lap();
}

}  // namespace farmcpu
