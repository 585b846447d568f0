// Random accesses made local: what belongs to one slice of a large array waits in a bucket until
// there is enough of it to bring the slice into the cache for.
#pragma once

#include <cstdint>
#include <cstring>
#include <mutex>
#include <vector>

#include "pages.hpp"

namespace farmcpu {

// Bring a slice into the cache from end to end, which the memory is fast at, before `entries`
// accesses to it at random; where those are few, they are better left alone. Prefetches would be
// dropped at this rate.
inline void fetch_slice(const std::uint8_t *slice, std::size_t bytes, std::size_t entries) {
  if (entries * 256 < bytes) return;
  const volatile std::uint8_t *const line = slice;
  for (std::size_t at = 0; at < bytes; at += 64) (void)line[at];
}

// Buckets of entries of `entry_bytes`, each of the same capacity.
class WaitingBuckets {
 public:
  static constexpr std::size_t kSlackBytes = 16;  // an entry may be written with a wider store

  struct Bucket {
    std::uint8_t *next, *end;
  };

  static std::size_t bytes(std::size_t buckets, std::size_t entry_bytes, std::size_t capacity) {
    return buckets * stride(entry_bytes, capacity);
  }

  WaitingBuckets(std::uint8_t *memory, std::size_t buckets, std::size_t entry_bytes,
                 std::size_t capacity)
      : memory_(memory), stride_(stride(entry_bytes, capacity)), buckets_(buckets) {
    for (std::size_t b = 0; b < buckets; ++b)
      buckets_[b] = {start(b), start(b) + entry_bytes * capacity};
  }

  std::size_t count() const { return buckets_.size(); }
  Bucket &operator[](std::size_t b) { return buckets_[b]; }
  std::uint8_t *start(std::size_t b) const { return memory_ + b * stride_; }
  void empty(std::size_t b) { buckets_[b].next = start(b); }

 private:
  // An odd number of cache lines, so that buckets, which fill alike, lie in different sets.
  static std::size_t stride(std::size_t entry_bytes, std::size_t capacity) {
    return ((entry_bytes * capacity + kSlackBytes + 63) / 64 | 1) * 64;
  }

  std::uint8_t *memory_;
  std::size_t stride_;
  std::vector<Bucket> buckets_;
};

// Nodes to be counted. All threads count in the same slices, one at a time in each.
template <typename Set>
class CountingBuckets {
 public:
  static constexpr std::size_t kEntryBytes = 3;

  CountingBuckets(WaitingBuckets buckets, std::uint8_t *counters, std::uint32_t slice_bits,
                  std::vector<std::mutex> &locks)
      : buckets_(std::move(buckets)), counters_(counters), slice_bits_(slice_bits),
        slice_mask_((std::uint32_t{1} << slice_bits) - 1), locks_(locks) {}

  // Without a branch on `keep`, which nobody could predict.
  void push_if(bool keep, std::uint32_t node) {
    const std::size_t b = std::uint64_t{node} >> slice_bits_;
    auto &bucket = buckets_[b];
    const std::uint32_t low = node & slice_mask_;
    std::memcpy(bucket.next, &low, sizeof low);
    bucket.next += keep ? kEntryBytes : 0;
    if (bucket.next == bucket.end) [[unlikely]]
      drain(b);
  }

  void drain() {
    for (std::size_t b = 0; b < buckets_.count(); ++b) drain(b);
  }

 private:
  void drain(std::size_t b) {
    std::uint8_t *slice = counters_ + b * Set::slice_bytes(slice_bits_);
    const std::lock_guard lock(locks_[b]);
    fetch_slice(slice, Set::slice_bytes(slice_bits_),
                (buckets_[b].next - buckets_.start(b)) / kEntryBytes);
    for (const std::uint8_t *at = buckets_.start(b); at != buckets_[b].next; at += kEntryBytes) {
      std::uint32_t low;
      std::memcpy(&low, at, sizeof low);
      Set::count(slice, low & 0xffffff);
    }
    buckets_.empty(b);
  }

  WaitingBuckets buckets_;
  std::uint8_t *counters_;
  std::uint32_t slice_bits_, slice_mask_;
  std::vector<std::mutex> &locks_;
};

// Edges to be tested by one of their nodes. An entry of 80 bits is that node's bits within its
// slice, the edge's other node, and its number from the start of the window.
class TestingBuckets {
 public:
  static constexpr std::size_t kEntryBytes = 10;
  static constexpr std::uint32_t kMaxSliceBits = 22;

  // Numbers within a window take the bits that are left.
  static std::uint32_t window_bits(std::uint32_t node_bits, std::uint32_t slice_bits) {
    return 80 - node_bits - slice_bits;
  }

  TestingBuckets(WaitingBuckets buckets, const std::uint8_t *passing, std::uint32_t node_bits,
                 std::uint32_t slice_bits)
      : buckets_(std::move(buckets)), passing_(passing), node_bits_(node_bits),
        slice_bits_(slice_bits) {}

  bool is_full(std::size_t b) { return buckets_[b].next == buckets_[b].end; }

  // Returns the bucket.
  std::size_t push(std::uint32_t node, std::uint32_t other, std::uint64_t number) {
    const std::size_t b = std::uint64_t{node} >> slice_bits_;
    auto &bucket = buckets_[b];
    const std::uint64_t low = node & ((std::uint64_t{1} << slice_bits_) - 1);
    const std::uint64_t first = low | std::uint64_t{other} << slice_bits_ |
                                number << (slice_bits_ + node_bits_);
    const auto last =
        static_cast<std::uint16_t>(number >> (64 - slice_bits_ - node_bits_));
    std::memcpy(bucket.next, &first, sizeof first);
    std::memcpy(bucket.next + sizeof first, &last, sizeof last);
    bucket.next += kEntryBytes;
    return b;
  }

  // Calls tested(passes, node, other, number) for each entry of the bucket, and empties it.
  template <typename Tested>
  void drain(std::size_t b, Tested tested) {
    const std::uint64_t first_node = std::uint64_t{b} << slice_bits_;
    const std::uint8_t *slice = passing_ + first_node / 8;
    const std::uint64_t low_mask = (std::uint64_t{1} << slice_bits_) - 1;
    const std::uint64_t node_mask = (std::uint64_t{1} << node_bits_) - 1;
    const std::uint32_t used = slice_bits_ + node_bits_;
    fetch_slice(slice, (low_mask + 1) / 8, (buckets_[b].next - buckets_.start(b)) / kEntryBytes);
    for (const std::uint8_t *at = buckets_.start(b); at != buckets_[b].next; at += kEntryBytes) {
      std::uint64_t first;
      std::uint16_t last;
      std::memcpy(&first, at, sizeof first);
      std::memcpy(&last, at + sizeof first, sizeof last);
      const std::uint64_t low = first & low_mask;
      tested(slice[low / 8] >> low % 8 & 1, static_cast<std::uint32_t>(first_node + low),
             static_cast<std::uint32_t>(first >> slice_bits_ & node_mask),
             first >> used | std::uint64_t{last} << (64 - used));
    }
    buckets_.empty(b);
  }

  std::size_t count() const { return buckets_.count(); }

 private:
  WaitingBuckets buckets_;
  const std::uint8_t *passing_;
  std::uint32_t node_bits_, slice_bits_;
};

}  // namespace farmcpu
