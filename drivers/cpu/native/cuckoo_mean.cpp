#include "cuckoo_mean.hpp"

#include <algorithm>
#include <bit>

#include "cuckoo_recovery.hpp"
#include "parallel.hpp"
#include "stopwatch.hpp"

namespace farmcpu {
namespace {

// Edges hashed between two looks at the stop flag: some milliseconds.
constexpr std::uint64_t kRangeEdges = std::uint64_t{1} << 20;
constexpr std::uint32_t kMaxRounds = 400;
// Rounds after which nodes are renamed, u then v. By then a node in fifty is left; with the
// names counted from 0 a bucket's counters fit the first cache.
constexpr std::uint32_t kFirstNamingRound = 12;
// Share of the edges at which trimming ends, as a power of two.
constexpr std::uint32_t kEnoughShift = 12;
constexpr std::uint64_t kEnoughEdges = 64;

// More than 2^10 lists at once miss the second cache when written; more than 2^19 counters do
// when read. Entries of 6 bytes hold up to 48 bits.
MeanShape shape_of(std::uint32_t edge_bits) {
  const std::uint32_t few = std::clamp<std::uint32_t>(edge_bits, 14, 22) - 13;
  const std::uint32_t bucket_bits = edge_bits < 28 ? few : edge_bits < 31 ? 10 : edge_bits - 20;
  const std::uint32_t key_bits = edge_bits - bucket_bits;
  return {edge_bits, key_bits, key_bits + edge_bits > 48 ? 7u : 6u, 0};
}

std::size_t chunks_for(const MeanShape &shape, std::uint32_t threads) {
  const std::size_t full = (std::size_t{1} << shape.edge_bits) / chunk_entries(shape.entry_bytes);
  // Every thread has a chunk begun in each of its lists, near and far, and one batch.
  return full + threads * (2 * shape.buckets() + 64) + 1;
}

std::size_t aligned(std::size_t bytes) { return (bytes + 4095) & ~std::size_t{4095}; }

// A thread's memory besides chunks, in this order.
struct ThreadLayout {
  std::size_t cursors, counters, names, kept;
  explicit ThreadLayout(const MeanShape &shape)
      : cursors(aligned(shape.buckets() * sizeof(std::uint8_t *))),
        counters(aligned((std::size_t{1} << shape.key_bits) + 64)),
        names(aligned(sizeof(std::uint32_t) << shape.key_bits)),
        kept(aligned((chunk_entries(shape.entry_bytes) + 16) * sizeof(std::uint64_t))) {}
  std::size_t bytes() const { return 2 * cursors + counters + 2 * names + kept; }
};

// visit(edge's entry, bucket) for all edges in a list.
template <std::size_t kEntryBytes, typename Visit>
void for_each_entry(const MeanLists &lists, std::size_t buckets, Visit visit) {
  for (std::size_t b = 0; b < buckets; ++b)
    for_each_chunk<kEntryBytes>(
        lists.cursors[b],
        [&](const std::uint8_t *entry, std::uint32_t count, std::uint8_t *, std::uint8_t *) {
          for (std::uint32_t i = 0; i < count; ++i, entry += kEntryBytes) {
            std::uint64_t bits;
            std::memcpy(&bits, entry, sizeof bits);
            visit(bits, static_cast<std::uint32_t>(b));
          }
        });
}

}  // namespace

std::uint64_t MeanSolver::bytes(std::uint32_t edge_bits, std::uint32_t threads) {
  const MeanShape shape = shape_of(edge_bits);
  return SharedChunks::bytes(chunks_for(shape, threads)) +
         threads * ThreadLayout(shape).bytes();
}

MeanSolver::MeanSolver(std::uint32_t edge_bits, std::uint32_t threads)
    : shape_(shape_of(edge_bits)),
      threads_(threads),
      chunks_(chunks_for(shape_, threads)),
      pools_(threads),
      memory_(threads * ThreadLayout(shape_).bytes()) {
  const ThreadLayout layout(shape_);
  std::uint8_t *at = memory_.data();
  const auto take = [&]<typename T>(std::size_t bytes, T *) {
    return reinterpret_cast<T *>(std::exchange(at, at + bytes));
  };
  for (ChunkPool &pool : pools_) {
    near_.push_back({&pool, take(layout.cursors, static_cast<std::uint8_t **>(nullptr))});
    far_.push_back({&pool, take(layout.cursors, static_cast<std::uint8_t **>(nullptr))});
    auto *counters = take(layout.counters, static_cast<std::uint8_t *>(nullptr));
    auto *names = take(2 * layout.names, static_cast<std::uint32_t *>(nullptr));
    auto *kept = take(layout.kept, static_cast<std::uint64_t *>(nullptr));
    scratch_.push_back({counters, 0, kept, names});
  }
  for (Names &names : names_) names.resize(shape_.buckets());
}

void MeanSolver::check_stop() const {
  if (stop_ && *stop_) throw Stopped();
}

void MeanSolver::generate() {
  const std::uint64_t edges = std::uint64_t{1} << shape_.edge_bits;
  const std::uint64_t range = std::min(edges, kRangeEdges);
  std::atomic<std::uint64_t> next{0};
  run_parallel(threads_, [&](std::uint32_t thread) {
    open_lists(near_[thread], shape_);
    for (std::uint64_t first; (first = next.fetch_add(range)) < edges;) {
      check_stop();
      mean_kernels().generate(*graph_, shape_, first, first + range, near_[thread]);
    }
  });
  chunks_.collect(pools_);
}

// One round on the lists near_; leaves them sorted by the other side. With `names`, the nodes of
// this side are renamed.
std::uint64_t MeanSolver::trim(Names *names) {
  std::atomic<std::uint32_t> next{0};
  std::atomic<std::uint64_t> left{0};
  const auto buckets = static_cast<std::uint32_t>(shape_.buckets());
  run_parallel(threads_, [&](std::uint32_t thread) {
    open_lists(far_[thread], shape_);
    const MeanScratch &scratch = scratch_[thread];
    std::uint64_t kept = 0;
    for (std::uint32_t b; (b = next.fetch_add(1)) < buckets;) {
      if (!names) {
        kept += mean_kernels().trim(shape_, scratch, near_.data(), threads_, b, far_[thread]);
        continue;
      }
      std::uint32_t named = 0, *keys = scratch.names + (std::size_t{1} << shape_.key_bits);
      kept += mean_kernels().trim_and_name(shape_, scratch, near_.data(), threads_, b,
                                           far_[thread], keys, &named);
      (*names)[b].assign(keys, keys + named);
    }
    left += kept;
  });
  near_.swap(far_);
  chunks_.collect(pools_);
  return left;
}

void MeanSolver::trim_all() {
  const std::uint64_t enough =
      std::max(std::uint64_t{1} << shape_.edge_bits >> kEnoughShift, kEnoughEdges);
  Stopwatch watch;
  rounds_ = 0;
  for (std::uint32_t side = 0; rounds_ < kMaxRounds && survivors_.back() > enough; side ^= 1) {
    check_stop();
    const bool naming = rounds_ / 2 == kFirstNamingRound / 2;
    survivors_.push_back(trim(naming ? &names_[side] : nullptr));
    if (rounds_ < FARMCPU_TIMED_ROUNDS)
      phases_.rounds[rounds_] = watch.lap();
    else
      phases_.tail += watch.lap();
    if (++rounds_ == kFirstNamingRound + 2) count_named();
  }
}

// From now on keys are small.
void MeanSolver::count_named() {
  std::size_t most = 1;
  for (const Names &names : names_)
    for (const auto &keys : names) most = std::max(most, keys.size());
  for (MeanScratch &scratch : scratch_)
    scratch.keys = std::min<std::uint32_t>(scratch.keys, std::bit_ceil(most << shape_.pair));
}

std::uint32_t MeanSolver::node_of(std::uint32_t number, std::uint32_t side) const {
  const std::uint32_t bucket_bits = shape_.bucket_bits();
  const std::uint32_t bucket = number & ((1u << bucket_bits) - 1), pair = shape_.pair;
  std::uint32_t key = number >> bucket_bits;
  if (rounds_ > kFirstNamingRound + side)
    key = (names_[side][bucket][key >> pair] & ~pair) | (key & pair);
  if (!pair) return key << bucket_bits | bucket;
  return (key >> 1) << (bucket_bits + 1) | bucket << 1 | (key & 1);
}

// The edges left, whose lists are sorted by v after an odd number of rounds.
std::vector<Endpoints> MeanSolver::collect() const {
  std::vector<Endpoints> edges;
  edges.reserve(survivors_.back());
  const std::uint32_t mask = cuckoo_mask(shape_.edge_bits);
  const std::uint32_t by = rounds_ % 2;
  const auto add = [&](std::uint64_t entry, std::uint32_t bucket) {
    const auto key = static_cast<std::uint32_t>(entry) & ((1u << shape_.key_bits) - 1);
    const auto far = static_cast<std::uint32_t>(entry >> shape_.key_bits) & mask;
    const std::uint32_t near_node = node_of(key << shape_.bucket_bits() | bucket, by);
    const std::uint32_t far_node = node_of(far, by ^ 1);
    edges.push_back(by ? Endpoints{far_node, near_node} : Endpoints{near_node, far_node});
  };
  for (const MeanLists &lists : near_)
    if (shape_.entry_bytes == 6)
      for_each_entry<6>(lists, shape_.buckets(), add);
    else
      for_each_entry<7>(lists, shape_.buckets(), add);
  return edges;
}

std::vector<std::vector<std::uint32_t>> MeanSolver::solve(const farmcpu_graph &graph,
                                                          const volatile std::int32_t *stop) {
  graph_ = &graph;
  stop_ = stop;
  shape_.pair = graph.cycle;
  phases_ = {};
  survivors_.assign(1, std::uint64_t{1} << shape_.edge_bits);
  for (MeanScratch &scratch : scratch_) scratch.keys = 1u << shape_.key_bits;
  chunks_.reset(pools_);
  Stopwatch watch;
  generate();
  phases_.generation = watch.lap();
  trim_all();
  watch.lap();
  auto left = collect();
  phases_.peel = watch.lap();
  return cycles_among(graph, stop, threads_, std::move(left), phases_);
}

}  // namespace farmcpu
