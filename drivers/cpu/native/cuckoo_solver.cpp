#include "cuckoo_solver.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "isa.hpp"

namespace farmcpu {
namespace {

constexpr std::uint64_t kGroupEdges = kLanes * kBlockEdges;
constexpr std::uint32_t kMaxRounds = 400;

// Hash the whole graph: visit(first_edge, words) for each kLanes blocks, word i of block b at
// words[i * kLanes + b].
template <typename Visit>
void for_each_group(const farmcpu_graph &graph, const volatile std::int32_t *stop, Visit visit) {
  const auto hash = kernels().siphash_blocks;
  const std::uint64_t edges = std::uint64_t{1} << graph.edge_bits;
  alignas(64) std::uint64_t words[kGroupEdges];
  for (std::uint64_t first = 0; first < edges; first += kGroupEdges) {
    if (stop && *stop) throw Stopped();
    hash(graph.keys, graph.compression_rounds, graph.finalisation_rounds, first, words);
    visit(first, words);
  }
}

std::uint32_t bucket_bits_of(std::uint32_t edge_bits) {
  // A bucket's counters (a byte a node) fit the first or second cache.
  return std::clamp<int>(int(edge_bits) - 14, 0, 10);
}

std::uint64_t chunks_for(std::uint32_t edge_bits) {
  return (std::uint64_t{1} << edge_bits) / Chunk::kEdges +
         (std::uint64_t{2} << bucket_bits_of(edge_bits)) + 16;
}

}  // namespace

std::uint64_t mean_bytes(std::uint32_t edge_bits) {
  return chunks_for(edge_bits) * kChunkBytes + (std::uint64_t{1} << (edge_bits - bucket_bits_of(edge_bits)));
}

Solver::Solver(std::uint32_t edge_bits)
    : edge_bits_(edge_bits), bucket_bits_(bucket_bits_of(edge_bits)) {
  arena_.emplace(chunks_for(edge_bits));
  near_.emplace(*arena_, std::size_t{1} << bucket_bits_);
  far_.emplace(*arena_, std::size_t{1} << bucket_bits_);
  counters_.resize(std::size_t{1} << low_bits());
}

void Solver::generate(const farmcpu_graph &graph, const volatile std::int32_t *stop) {
  for_each_group(graph, stop, [&](std::uint64_t, const std::uint64_t *words) {
    for (std::uint64_t i = 0; i < kGroupEdges; ++i) {
      const Endpoints e = endpoints_of(words[i], edge_bits_);
      near_->push_if(true, e.u >> low_bits(), e);
    }
  });
}

// One round on the edges in near_, which is sorted by the side looked at; leaves them in
// near_ sorted by the other. Returns how many are left.
std::uint64_t Solver::trim(bool by_v) {
  std::uint64_t left = 0;
  far_->open();
  const std::uint32_t mask = (1u << low_bits()) - 1, shift = low_bits();
  std::uint8_t *counters = counters_.data();
  const auto node = [by_v](Endpoints e) { return by_v ? e.v : e.u; };
  const auto other = [by_v](Endpoints e) { return by_v ? e.u : e.v; };
  for (std::size_t b = 0; b < near_->count(); ++b) {
    std::memset(counters, 0, counters_.size());
    near_->for_each(b, [&](Endpoints e) {
      std::uint8_t &seen = counters[node(e) & mask];
      seen = seen << 1 | 1;  // 0, 1, 3, 7 ...: bit 1 says two or more
    });
    near_->drain(b, [&](Endpoints e) {
      const bool keep = counters[node(e) & mask] & 2;
      far_->push_if(keep, other(e) >> shift, e);
      left += keep;
    });
  }
  near_->swap(*far_);
  return left;
}

std::vector<Endpoints> Solver::collect() {
  std::vector<Endpoints> edges;
  edges.reserve(survivors_.back());
  for (std::size_t b = 0; b < near_->count(); ++b)
    near_->drain(b, [&](Endpoints e) { edges.push_back(e); });
  return edges;
}

// Edge numbers of the wanted core edges, by hashing the graph again. Several edges between
// the same two nodes get theirs in turn.
std::vector<std::uint32_t> Solver::recover(const farmcpu_graph &graph,
                                           const volatile std::int32_t *stop,
                                           const std::vector<Endpoints> &core,
                                           const std::vector<bool> &wanted) const {
  const auto key = [](Endpoints e) { return std::uint64_t{e.v} << 32 | e.u; };
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> places;
  std::vector<bool> sieve(std::size_t{1} << 16);
  for (std::uint32_t i = 0; i < core.size(); ++i)
    if (wanted[i]) places[key(core[i])];
  for (std::uint32_t i = core.size(); i-- > 0;)
    if (auto place = places.find(key(core[i])); place != places.end()) {
      place->second.push_back(i);
      sieve[core[i].u & 0xffff] = true;
    }
  std::vector<std::uint32_t> numbers(core.size());
  for_each_group(graph, stop, [&](std::uint64_t first, const std::uint64_t *words) {
    for (std::uint64_t i = 0; i < kGroupEdges; ++i) {
      const Endpoints e = endpoints_of(words[i], edge_bits_);
      if (!sieve[e.u & 0xffff]) continue;
      const auto place = places.find(key(e));
      if (place == places.end() || place->second.empty()) continue;
      numbers[place->second.back()] =
          static_cast<std::uint32_t>(first + i % kLanes * kBlockEdges + i / kLanes);
      place->second.pop_back();
    }
  });
  return numbers;
}

std::vector<std::vector<std::uint32_t>> Solver::solve(const farmcpu_graph &graph,
                                                      const volatile std::int32_t *stop) {
  arena_->clear();
  near_->open();
  survivors_.assign(1, edges());
  phases_ = {};
  Stopwatch watch;
  generate(graph, stop);
  phases_.generation = watch.lap();
  const std::uint64_t enough = std::max<std::uint64_t>(edges() >> 9, 64);
  for (std::uint32_t round = 0; round < kMaxRounds; ++round) {
    if (survivors_.back() <= enough) break;
    if (stop && *stop) throw Stopped();
    survivors_.push_back(trim(round % 2));
    (round < FARMCPU_TIMED_ROUNDS ? phases_.rounds[round] : phases_.tail) += watch.lap();
  }
  std::vector<Endpoints> core = collect();
  peel(core);
  auto cycles = find_cycles(core, graph.proof_size);
  phases_.peel = watch.lap();
  if (cycles.empty()) return cycles;
  std::vector<bool> wanted(core.size());
  for (const auto &cycle : cycles)
    for (std::uint32_t e : cycle) wanted[e] = true;
  const auto numbers = recover(graph, stop, core, wanted);
  phases_.recovery = watch.lap();
  for (auto &cycle : cycles) {
    for (std::uint32_t &e : cycle) e = numbers[e];
    std::sort(cycle.begin(), cycle.end());
  }
  std::erase_if(cycles, [&](const auto &cycle) {
    return verify(graph, cycle.data(), cycle.size()) != FARMCPU_PROOF_OK;
  });
  return cycles;
}

}  // namespace farmcpu
