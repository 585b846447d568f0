// Random accesses made local: what belongs to one slice of a large array waits in a bucket until
// there is enough of it to bring the slice into the cache for.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "mutex.hpp"
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
//
// Entries are written as bytes, which as far as the compiler knows may change anything in memory.
// What writes or reads them in a loop is therefore held by value, in registers.
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
  Bucket *data() { return buckets_.data(); }
  const std::uint8_t *end(std::size_t b) const { return buckets_[b].next; }
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
                  std::vector<Mutex> &locks)
      : buckets_(std::move(buckets)), counters_(counters), slice_bits_(slice_bits), locks_(locks) {}

  class Writer {
   public:
    explicit Writer(CountingBuckets &to)
        : to_(to), buckets_(to.buckets_.data()), slice_bits_(to.slice_bits_),
          slice_mask_((std::uint32_t{1} << to.slice_bits_) - 1) {}

    // Without a branch on `keep`, which nobody could predict.
    void push_if(bool keep, std::uint32_t node) const {
      auto &bucket = buckets_[std::uint64_t{node} >> slice_bits_];
      const std::uint32_t low = node & slice_mask_;
      std::uint8_t *next = bucket.next;
      std::memcpy(next, &low, sizeof low);
      bucket.next = next += keep ? kEntryBytes : 0;
      if (next == bucket.end) [[unlikely]]
        to_.drain(&bucket - buckets_);
    }

   private:
    CountingBuckets &to_;
    WaitingBuckets::Bucket *buckets_;
    std::uint32_t slice_bits_, slice_mask_;
  };

  Writer writer() { return Writer(*this); }

  void drain() {
    for (std::size_t b = 0; b < buckets_.count(); ++b) drain(b);
  }

 private:
  void drain(std::size_t b) {
    std::uint8_t *slice = counters_ + b * Set::slice_bytes(slice_bits_);
    const std::lock_guard lock(locks_[b]);
    const std::uint8_t *at = buckets_.start(b), *const end = buckets_.end(b);
    fetch_slice(slice, Set::slice_bytes(slice_bits_), (end - at) / kEntryBytes);
    for (; at != end; at += kEntryBytes) {
      std::uint32_t low;
      std::memcpy(&low, at, sizeof low);
      Set::count(slice, low & 0xffffff);
    }
    buckets_.empty(b);
  }

  WaitingBuckets buckets_;
  std::uint8_t *counters_;
  std::uint32_t slice_bits_;
  std::vector<Mutex> &locks_;
};

// Edges to be tested by one of their nodes. An entry of 80 bits is that node's bits within its
// slice, the edge's other node, and its number from the start of the window.
class TestingBuckets {
 public:
  static constexpr std::size_t kEntryBytes = 10;
  static constexpr std::uint32_t kMaxSliceBits = 21;

  // Numbers within a window take the bits that are left.
  static std::uint32_t window_bits(std::uint32_t node_bits, std::uint32_t slice_bits) {
    return 80 - node_bits - slice_bits;
  }

  TestingBuckets(WaitingBuckets buckets, const std::uint8_t *passing, std::uint32_t node_bits,
                 std::uint32_t slice_bits)
      : buckets_(std::move(buckets)), passing_(passing), node_bits_(node_bits),
        slice_bits_(slice_bits) {}

  class Writer {
   public:
    explicit Writer(TestingBuckets &to)
        : buckets_(to.buckets_.data()), slice_bits_(to.slice_bits_),
          used_bits_(to.slice_bits_ + to.node_bits_) {}

    // Returns the bucket where it is full now, or else none.
    std::size_t push(std::uint32_t node, std::uint32_t other, std::uint64_t number) const {
      auto &bucket = buckets_[std::uint64_t{node} >> slice_bits_];
      const std::uint64_t low = node & ((std::uint64_t{1} << slice_bits_) - 1);
      const std::uint64_t first =
          low | std::uint64_t{other} << slice_bits_ | number << used_bits_;
      const auto last = static_cast<std::uint16_t>(number >> (64 - used_bits_));
      std::uint8_t *next = bucket.next;
      std::memcpy(next, &first, sizeof first);
      std::memcpy(next + sizeof first, &last, sizeof last);
      bucket.next = next += kEntryBytes;
      return next == bucket.end ? &bucket - buckets_ : kNone;
    }

   private:
    WaitingBuckets::Bucket *buckets_;
    std::uint32_t slice_bits_, used_bits_;
  };

  static constexpr std::size_t kNone = ~std::size_t{0};
  Writer writer() { return Writer(*this); }

  // Calls tested(passes, node, other, number) for each entry of the bucket, and empties it.
  // Returns how many pass.
  template <typename Tested>
  std::uint64_t drain(std::size_t b, Tested tested) {
    const std::uint64_t first_node = std::uint64_t{b} << slice_bits_;
    const std::uint8_t *const slice = passing_ + first_node / 8;
    const std::uint64_t low_mask = (std::uint64_t{1} << slice_bits_) - 1;
    const std::uint64_t node_mask = (std::uint64_t{1} << node_bits_) - 1;
    const std::uint32_t slice_bits = slice_bits_, used = slice_bits_ + node_bits_;
    const std::uint8_t *at = buckets_.start(b), *const end = buckets_.end(b);
    fetch_slice(slice, (low_mask + 1) / 8, (end - at) / kEntryBytes);
    std::uint64_t passed = 0;
    for (; at != end; at += kEntryBytes) {
      std::uint64_t first;
      std::uint16_t last;
      std::memcpy(&first, at, sizeof first);
      std::memcpy(&last, at + sizeof first, sizeof last);
      const std::uint64_t low = first & low_mask;
      const bool passes = slice[low / 8] >> low % 8 & 1;
      tested(passes, static_cast<std::uint32_t>(first_node + low),
             static_cast<std::uint32_t>(first >> slice_bits & node_mask),
             first >> used | std::uint64_t{last} << (64 - used));
      passed += passes;
    }
    buckets_.empty(b);
    return passed;
  }

  std::size_t count() const { return buckets_.count(); }

 private:
  WaitingBuckets buckets_;
  const std::uint8_t *passing_;
  std::uint32_t node_bits_, slice_bits_;
};

}  // namespace farmcpu
