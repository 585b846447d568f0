#include "cuckoo_recovery.hpp"

#include <algorithm>
#include <atomic>
#include <unordered_map>

#include "cuckoo_edges.hpp"
#include "isa.hpp"
#include "mutex.hpp"
#include "parallel.hpp"
#include "stopwatch.hpp"

namespace farmcpu {
namespace {

constexpr std::uint64_t kGroupsATicket = 64;

std::uint64_t key_of(Endpoints e) { return std::uint64_t{e.v} << 32 | e.u; }

// Which of the wanted edges, by ends, have no number yet.
class Wanted {
 public:
  explicit Wanted(const std::vector<Endpoints> &edges) : numbers_(edges.size()), sieve_(1 << 16) {
    for (auto i = static_cast<std::uint32_t>(edges.size()); i-- > 0;) {
      places_[key_of(edges[i])].push_back(i);
      sieve_[edges[i].u % sieve_.size()] = true;
    }
  }

  // Most edges are turned away here; from any thread.
  bool may_want(Endpoints e) const { return sieve_[e.u % sieve_.size()]; }

  void take(Endpoints e, std::uint64_t number) {
    const std::lock_guard hold(lock_);
    const auto place = places_.find(key_of(e));
    if (place == places_.end() || place->second.empty()) return;
    numbers_[place->second.back()] = static_cast<std::uint32_t>(number);
    place->second.pop_back();
  }

  std::vector<std::uint32_t> numbers() && { return std::move(numbers_); }

 private:
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> places_;
  std::vector<std::uint32_t> numbers_;
  std::vector<std::uint8_t> sieve_;
  Mutex lock_;
};

void match_blocks(const farmcpu_graph &graph, std::uint64_t first, Wanted &wanted) {
  alignas(64) std::uint64_t words[kGroupEdges];
  kernels().siphash_blocks(graph.keys, graph.compression_rounds, graph.finalisation_rounds, first,
                           words);
  for (std::uint64_t i = 0; i < kGroupEdges; ++i) {
    const Endpoints e = endpoints_of(words[i], graph.edge_bits);
    if (wanted.may_want(e)) wanted.take(e, first + i % kLanes * kBlockEdges + i / kLanes);
  }
}

void match_nodes(const farmcpu_graph &graph, std::uint64_t first, Wanted &wanted) {
  std::uint64_t all[kGroupWords];
  std::fill(std::begin(all), std::end(all), ~std::uint64_t{0});
  GroupEnds ends;
  hash_group(graph, first, all, ends);
  for (std::size_t i = 0; i < ends.count; ++i) {
    const Endpoints e{ends.u[i], ends.v[i]};
    if (wanted.may_want(e)) wanted.take(e, first + ends.at[i]);
  }
}

}  // namespace

std::vector<std::uint32_t> recover(const farmcpu_graph &graph, const volatile std::int32_t *stop,
                                   std::uint32_t threads, const std::vector<Endpoints> &edges) {
  Wanted wanted(edges);
  const std::uint64_t groups = (std::uint64_t{1} << graph.edge_bits) / kGroupEdges;
  const auto match = graph.cycle == CUCKOO_CUCKAROO ? match_blocks : match_nodes;
  std::atomic<std::uint64_t> next{0};
  run_parallel(threads, [&](std::uint32_t) {
    for (std::uint64_t from; (from = next.fetch_add(kGroupsATicket)) < groups;) {
      if (stop && *stop) throw Stopped();
      for (std::uint64_t g = from; g < std::min(groups, from + kGroupsATicket); ++g)
        match(graph, g * kGroupEdges, wanted);
    }
  });
  return std::move(wanted).numbers();
}

std::vector<std::vector<std::uint32_t>> cycles_among(const farmcpu_graph &graph,
                                                     const volatile std::int32_t *stop,
                                                     std::uint32_t threads,
                                                     std::vector<Endpoints> left,
                                                     farmcpu_phases &phases) {
  Stopwatch watch;
  peel(left, graph.cycle);
  auto cycles = find_cycles(left, graph.proof_size, graph.cycle);
  phases.peel += watch.lap();
  if (cycles.empty()) return cycles;
  std::vector<std::uint32_t> places;
  for (const auto &cycle : cycles) places.insert(places.end(), cycle.begin(), cycle.end());
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  std::vector<Endpoints> wanted;
  for (const std::uint32_t place : places) wanted.push_back(left[place]);
  const auto numbers = recover(graph, stop, threads, wanted);
  for (auto &cycle : cycles) {
    for (std::uint32_t &e : cycle)
      e = numbers[std::lower_bound(places.begin(), places.end(), e) - places.begin()];
    std::sort(cycle.begin(), cycle.end());
  }
  std::erase_if(cycles, [&](const auto &cycle) {
    return verify(graph, cycle.data(), cycle.size()) != FARMCPU_PROOF_OK;
  });
  phases.recovery += watch.lap();
  return cycles;
}

}  // namespace farmcpu
