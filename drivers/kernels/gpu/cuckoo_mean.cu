// The mean trimmer for GPUs: all edges are hashed once and sorted by bucket, then round by round
// each bucket's nodes are counted in shared memory and the edges whose node has another edge are
// written to the buckets of the other side. When few are left, the tail goes on without buckets
// with counters in global memory. One source for CUDA, HIP and the host; see vendor.h.
#include "cuckoo_mean.cuh"

namespace {

constexpr u32 kHashThreads = 384, kTrimThreads = 1024, kTailThreads = 256;
constexpr u32 kTileEdges = 4;  // in a lane's registers at once

// Some of a lane's edges, in registers, with a bit for each that is wanted.
struct Tile {
  u64 entries[kTileEdges];
  u32 wanted;

  template <typename Visit>
  __device__ __forceinline__ void for_each(Visit visit) const {
#pragma unroll
    for (u32 k = 0; k < kTileEdges; ++k)
      if (wanted >> k & 1) visit(k);
  }

  __device__ __forceinline__ void offer(Scatter &out) const {
    if (out.aggregate) for_each([&](u32 k) { out.offer(entries[k]); });
  }

  __device__ __forceinline__ void store(Scatter &out) const {
    u32 at[kTileEdges];
    for_each([&](u32 k) { at[k] = out.place(entries[k]); });
    for_each([&](u32 k) { out.store(entries[k], at[k]); });
  }
};

// A lane's next edges of a bucket, all asked for before the first is used.
DEVICE Tile load_tile(const Bucket &in, u32 start) {
  Tile tile;
  tile.wanted = 0;
#pragma unroll
  for (u32 k = 0; k < kTileEdges; ++k) {
    const u32 i = start + k * LANES;
    if (i >= in.count) continue;
    tile.entries[k] = in.edges[i];
    tile.wanted |= 1u << k;
  }
  return tile;
}

// Hash one block a lane and write those edges that lie in the step's buckets.
template <u32 cycle, u32 compression, u32 finalisation>
DEVICE void generate(Job *job, u32 number, u32 *shared) {
  if (is_stopped(job, shared)) return;
  const Step &step = job->steps[number];
  u64 *words = (u64 *)(shared + HEADER_WORDS) + LANE;
  u32 *slots = shared + HEADER_WORDS + LANES * CUCKOO_BLOCK_EDGES * 2;
  Scatter out = Scatter::into(job, step, step.side, slots);
  out.begin();
  const u64 first = ((u64)GROUP * LANES + LANE) * CUCKOO_BLOCK_EDGES;
  const bool is_here = first >> job->edge_bits == 0;
  if (is_here) hash_block<cycle, compression, finalisation>(job, first, words, LANES);
  const Block<cycle> block = Block<cycle>::of(job, words, LANES);
  const u32 edges = is_here ? CUCKOO_BLOCK_EDGES : 0;
  const auto for_each_tile = [&](auto visit) {
    for (u32 i = 0; i < edges; i += kTileEdges) {
      Tile tile;
      tile.wanted = 0;
#pragma unroll
      for (u32 k = 0; k < kTileEdges; ++k) {
        tile.entries[k] = block.entry(i + k);
        const bool is_in = out.nodes.bucket(tile.entries[k]) - step.first_bucket < step.buckets;
        tile.wanted |= u32(is_in) << k;
      }
      visit(tile);
    }
  };
  for_each_tile([&](const Tile &tile) { tile.offer(out); });
  out.reserve();
  for_each_tile([&](const Tile &tile) { tile.store(out); });
  out.report(job, step.round, shared);
}

// Count one bucket's nodes; what is left of each segment then goes to the other side's buckets.
DEVICE void trim_bucket(Job *job, u32 number, u32 *shared) {
  if (is_stopped(job, shared)) return;
  const Step &step = job->steps[number];
  const Nodes nodes = Nodes::of(job, step.side);
  const u32 bucket = step.first_bucket + GROUP;
  const Counters counters = {shared + HEADER_WORDS, job->pair};
  const u32 counter_words = counters.words_for(nodes.low_bits);
  clear(counters.words, counter_words);
  synchronise();
  for (u32 s = 0; s < step.inputs; ++s) {
    const Bucket in = Bucket::of(job, step.input + s, bucket);
    for (u32 start = LANE; start < in.count; start += LANES * kTileEdges) {
      const Tile tile = load_tile(in, start);
      tile.for_each([&](u32 k) { counters.count(nodes.low(tile.entries[k])); });
    }
  }
  synchronise();
  Scatter out = Scatter::into(job, step, step.side ^ 1, counters.words + counter_words);
  for (u32 s = 0; s < step.inputs; ++s) {
    const Bucket in = Bucket::of(job, step.input + s, bucket);
    for (u32 start = LANE; start - LANE < in.count; start += LANES * kTileEdges) {
      Tile tile = load_tile(in, start);
      u32 kept = 0;
      tile.for_each([&](u32 k) {
        kept |= u32(counters.meets(nodes.low(tile.entries[k]))) << k;
      });
      tile.wanted = kept;
      out.begin();
      tile.offer(out);
      out.reserve();
      tile.store(out);
    }
  }
  out.report(job, step.round, shared);
}

// Appends edges to a list of the tail, a group's at a time.
struct Append {
  u64 *list;
  u64 *count;
  u64 capacity;

  // To be called by all lanes. Returns whether the edge is now in the list.
  __device__ __forceinline__ bool put(Job *job, bool is_kept, u64 entry, u32 *shared) const {
    synchronise();
    if (LANE == 0) shared[KEPT] = 0;
    synchronise();
    const u32 at = is_kept ? add(&shared[KEPT], 1u) : 0;
    synchronise();
    u64 *base = (u64 *)(shared + HEADER_WORDS);
    if (LANE == 0) *base = add(count, (u64)shared[KEPT]);
    synchronise();
    if (!is_kept) return false;
    if (*base + at < capacity) {
      list[*base + at] = entry;
      return true;
    }
    add(&job->counters[DROPPED], (u64)1);
    return false;
  }
};

DEVICE u64 *list_of(const Job *job, u32 index) {
  return job->lists + index % 3 * job->list_capacity;
}

DEVICE Counters counters_of(const Job *job, u32 index) {
  return {job->bitmaps + index % 3 * job->bitmap_words, job->pair};
}

// From the buckets to list 0, counting the nodes of the side looked at.
DEVICE void collect_bucket(Job *job, u32 number, u32 *shared) {
  const Step &step = job->steps[number];
  const Nodes nodes = Nodes::of(job, step.side);
  const Append list = {list_of(job, 0), &job->counters[COLLECTED], job->list_capacity};
  for (u32 s = 0; s < step.inputs; ++s) {
    const Bucket in = Bucket::of(job, step.input + s, step.first_bucket + GROUP);
    for (u32 start = 0; start < in.count; start += LANES) {
      const u32 i = start + LANE;
      const u64 entry = i < in.count ? in.edges[i] : 0;
      if (list.put(job, i < in.count, entry, shared))
        counters_of(job, 0).count(nodes.node(entry));
    }
  }
}

DEVICE u64 tail_count(const Job *job, u32 round, u32 index) {
  const u64 count = job->counters[index ? u32(SURVIVORS) + round : u32(COLLECTED)];
  return count < job->list_capacity ? count : job->list_capacity;
}

// One round of the tail, all in one launch: test list i by the counters that the launch before
// filled, append what is left to list i + 1 and count its nodes of the other side, and clear
// the counters that list i - 1 was tested by. `step.input` is i.
DEVICE void trim_list(Job *job, u32 number, u32 *shared) {
  const Step &step = job->steps[number];
  const u32 index = step.input;
  const Nodes near = Nodes::of(job, step.side), far = Nodes::of(job, step.side ^ 1);
  const u64 *list = list_of(job, index), *before = list_of(job, index + 2);
  const Counters tested = counters_of(job, index), counted = counters_of(job, index + 1),
                 old = counters_of(job, index + 2);
  const Append next = {list_of(job, index + 1), &job->counters[SURVIVORS + step.round],
                       job->list_capacity};
  const u64 count = tail_count(job, step.round - 1, index), stride = (u64)GROUPS * LANES;
  for (u64 start = (u64)GROUP * LANES; start < count; start += stride) {
    const u64 i = start + LANE;
    const u64 entry = i < count ? list[i] : 0;
    const bool is_kept = i < count && tested.meets(near.node(entry));
    if (next.put(job, is_kept, entry, shared)) counted.count(far.node(entry));
  }
  if (index == 0) return;
  const u64 earlier = tail_count(job, step.round - 2, index - 1);
  for (u64 i = (u64)GROUP * LANES + LANE; i < earlier; i += stride)
    old.forget(far.node(before[i]));
}

DEVICE u32 find_wanted(const Job *job, u64 entry) {
  u32 low = 0, high = job->wanted_count;
  while (low < high) {
    const u32 middle = (low + high) / 2;
    if (job->wanted[middle] < entry)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// Hash again and note the numbers of the wanted edges.
template <u32 cycle, u32 compression, u32 finalisation>
DEVICE void recover(Job *job, u32 *shared) {
  if (is_stopped(job, shared)) return;
  u64 *words = (u64 *)(shared + HEADER_WORDS) + LANE;
  const u64 first = ((u64)GROUP * LANES + LANE) * CUCKOO_BLOCK_EDGES;
  if (first >> job->edge_bits) return;
  hash_block<cycle, compression, finalisation>(job, first, words, LANES);
  const Block<cycle> block = Block<cycle>::of(job, words, LANES);
  for (u32 i = 0; i < CUCKOO_BLOCK_EDGES; ++i) {
    const u64 entry = block.entry(i);
    const u32 place = find_wanted(job, entry);
    if (place == job->wanted_count || job->wanted[place] != entry) continue;
    const u64 at = add(&job->counters[FOUND], (u64)1);
    if (at < job->found_capacity) job->found[at] = {entry, first + i};
  }
}

DEVICE void clear_global(u32 *words, u64 count) {
  for (u64 i = (u64)GROUP * LANES + LANE; i < count; i += (u64)GROUPS * LANES) words[i] = 0;
}

}  // namespace

#define HASH_KERNELS(name, cycle, compression, finalisation)                      \
  KERNEL(kHashThreads) generate_##name(Job *job, u32 step) {                      \
    SHARED_MEMORY(shared);                                                        \
    generate<cycle, compression, finalisation>(job, step, shared);                \
  }                                                                               \
  KERNEL(kHashThreads) recover_##name(Job *job, u32) {                            \
    SHARED_MEMORY(shared);                                                        \
    recover<cycle, compression, finalisation>(job, shared);                       \
  }

HASH_KERNELS(cuckaroo_4_8, CUCKOO_CUCKAROO, 4, 8)
HASH_KERNELS(cuckaroo_2_4, CUCKOO_CUCKAROO, 2, 4)
HASH_KERNELS(cuckatoo_2_4, CUCKOO_CUCKATOO, 2, 4)

KERNEL(kTrimThreads) trim(Job *job, u32 step) {
  SHARED_MEMORY(shared);
  trim_bucket(job, step, shared);
}

KERNEL(kTailThreads) collect(Job *job, u32 step) {
  SHARED_MEMORY(shared);
  collect_bucket(job, step, shared);
}

KERNEL(kTailThreads) tail(Job *job, u32 step) {
  SHARED_MEMORY(shared);
  trim_list(job, step, shared);
}

KERNEL(kTailThreads) clear_counts(Job *job, u32) {
  clear_global((u32 *)job->counters, job->counter_words);
}

KERNEL(kTailThreads) clear_bitmaps(Job *job, u32) {
  clear_global(job->bitmaps, 3 * job->bitmap_words);
}
