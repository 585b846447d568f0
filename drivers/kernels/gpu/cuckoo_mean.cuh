// Parts of the mean trimmer that several kernels use.
#pragma once

#include "cuckoo_mean.h"

// Shared memory begins with a few words for the group as a whole.
enum { STOP, KEPT, LOST, HEADER_WORDS = 4 };

// Whether the job was stopped; the same answer for the whole group.
DEVICE bool is_stopped(const Job *job, u32 *shared) {
  if (LANE == 0) shared[STOP] = read_fresh(&job->stop);
  synchronise();
  return shared[STOP] != 0;
}

DEVICE void clear(u32 *words, u32 count) {
  for (u32 i = LANE; i < count; i += LANES) words[i] = 0;
}

// The nodes of one side.
struct Nodes {
  u32 side, low_bits;

  DEVICE Nodes of(const Job *job, u32 side) { return {side, job->edge_bits - job->bucket_bits}; }
  __device__ __forceinline__ u32 node(u64 entry) const { return (u32)(entry >> (32 * side)); }
  __device__ __forceinline__ u32 bucket(u64 entry) const { return node(entry) >> low_bits; }
  // Within the bucket.
  __device__ __forceinline__ u32 low(u64 entry) const {
    return node(entry) & ((1u << low_bits) - 1);
  }
};

// One bucket of a segment.
struct Bucket {
  const u64 *edges;
  u32 count;

  DEVICE Bucket of(const Job *job, u32 segment, u32 number) {
    const Segment &place = job->segments[segment];
    const u32 offered = job->counts[((u64)segment << job->bucket_bits) + number];
    const u32 capacity = (u32)place.capacity;
    return {job->arena + (place.offset + number * place.capacity),
            offered < capacity ? offered : capacity};
  }
};

// Writes edges into the buckets of a segment. A tile of edges is placed in two steps: every lane
// offers its edges, then `reserve`, then every lane finds the places of the same ones and stores
// them. Several places are asked for before the first is used, so that the atomics overlap.
struct Scatter {
  u64 *edges;
  u32 *counts, *slots;
  u32 capacity;
  Nodes nodes;
  u32 buckets;
  bool aggregate;
  u32 kept, lost;

  DEVICE Scatter into(const Job *job, const Step &step, u32 side, u32 *slots) {
    const Segment &place = job->segments[step.output];
    return {job->arena + place.offset,
            job->counts + ((u64)step.output << job->bucket_bits),
            slots,
            (u32)place.capacity,
            Nodes::of(job, side),
            1u << job->bucket_bits,
            step.aggregate != 0,
            0,
            0};
  }

  __device__ __forceinline__ void offer(u64 entry) {
    if (aggregate) add(&slots[nodes.bucket(entry)], 1u);
  }

  // Between the steps: room for the whole group's edges, by one atomic a bucket.
  __device__ __forceinline__ void reserve() {
    if (!aggregate) return;
    synchronise();
    for (u32 b = LANE; b < buckets; b += LANES)
      if (const u32 count = slots[b]) slots[b] = add(&counts[b], count);
    synchronise();
  }

  // Its number in its bucket; there may be no room for it.
  __device__ __forceinline__ u32 place(u64 entry) const {
    return add((aggregate ? slots : counts) + nodes.bucket(entry), 1u);
  }

  __device__ __forceinline__ void store(u64 entry, u32 at) {
    if (at < capacity) {
      edges[(u64)nodes.bucket(entry) * capacity + at] = entry;
      ++kept;
    } else {
      ++lost;
    }
  }

  // Before the first tile, and after each.
  __device__ __forceinline__ void begin() {
    if (!aggregate) return;
    synchronise();
    clear(slots, buckets);
    synchronise();
  }

  // At the end: add up what the group kept and lost.
  __device__ __forceinline__ void report(Job *job, u32 round, u32 *shared) {
    synchronise();
    if (LANE == 0) shared[KEPT] = shared[LOST] = 0;
    synchronise();
    add(&shared[KEPT], kept);
    if (lost) add(&shared[LOST], lost);
    synchronise();
    if (LANE != 0) return;
    add(&job->counters[SURVIVORS + round], (u64)shared[KEPT]);
    if (shared[LOST]) add(&job->counters[DROPPED], (u64)shared[LOST]);
  }
};

// Which nodes have edges. Where edges meet in one node (pair 0), 2 bits a node, 16 in a word:
// bit 0 says one or more, bit 1 two or more. Where they meet in a pair, 1 bit a node.
struct Counters {
  u32 *words;
  u32 pair;

  __device__ __forceinline__ u32 words_for(u32 node_bits) const {
    const u32 nodes_in_word = pair ? 32 : 16;
    return ((1u << node_bits) + nodes_in_word - 1) / nodes_in_word;
  }
  __device__ __forceinline__ void count(u32 node) const {
    if (pair) {
      set_bits(&words[node / 32], 1u << node % 32);
      return;
    }
    const u32 once = 1u << node % 16 * 2;
    if (set_bits(&words[node / 16], once) & once) set_bits(&words[node / 16], once << 1);
  }
  // Whether an edge with this node, counted before, meets another.
  __device__ __forceinline__ bool meets(u32 node) const {
    const u32 bit = pair ? node ^ pair : node * 2 + 1;
    return words[node / (pair ? 32 : 16)] >> bit % 32 & 1;
  }
  __device__ __forceinline__ void forget(u32 node) const {
    write_zero(&words[node / (pair ? 32 : 16)]);
  }
};

// The 64 words of one block of edges, v << 32 | u. Word i is kept at words[i * stride].
template <u32 cycle, u32 compression, u32 finalisation>
DEVICE void hash_block(const Job *job, u64 first, u64 *words, u32 stride) {
  const u32 mask = cuckoo_mask(job->edge_bits);
  const cuckoo_state fresh =
      cuckoo_begin(job->keys[0], job->keys[1], job->keys[2], job->keys[3]);
  cuckoo_state state = fresh;
  for (u32 i = 0; i < CUCKOO_BLOCK_EDGES; ++i) {
    if (cycle == CUCKOO_CUCKAROO) {
      words[i * stride] = cuckoo_hash(&state, first + i, compression, finalisation);
    } else {
      const u64 u = cuckatoo_node(fresh, first + i, 0, compression, finalisation, mask);
      const u64 v = cuckatoo_node(fresh, first + i, 1, compression, finalisation, mask);
      words[i * stride] = v << 32 | u;
    }
  }
}

// Entry i of a hashed block.
template <u32 cycle>
struct Block {
  const u64 *words;
  u32 stride;
  u64 last, mask;

  DEVICE Block of(const Job *job, const u64 *words, u32 stride) {
    const u64 mask = cuckoo_mask(job->edge_bits);
    return {words, stride, words[(CUCKOO_BLOCK_EDGES - 1) * stride], mask << 32 | mask};
  }
  __device__ __forceinline__ u64 entry(u32 i) const {
    const u64 word = words[i * stride];
    if (cycle == CUCKOO_CUCKATOO) return word;
    return (i == CUCKOO_BLOCK_EDGES - 1 ? word : word ^ last) & mask;
  }
};
