// Lists of edges by bucket, in chunks that are used again as soon as they are read.
//
// Only plain structures and static functions here: the kernels are built once per instruction
// set, and no function built for one machine may stand in for that of another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace farmcpu {

// How an edge lies in a list of the bucket-sorting solver. `near` is its node on the side that
// the list is sorted by, `far` its other one. The low bucket_bits of `near` say which bucket; an
// entry holds its upper key_bits, above them `far`, in entry_bytes bytes, low byte first.
//
// In Cuckatoo a node's bit 0 is moved to be the lowest of the key, so that nodes which meet are
// in the same bucket; `pair` is 1 there and 0 in Cuckaroo.
struct MeanShape {
  std::uint32_t edge_bits, key_bits, entry_bytes, pair;

  [[gnu::always_inline]] std::uint32_t bucket_bits() const { return edge_bits - key_bits; }
  [[gnu::always_inline]] std::size_t buckets() const { return std::size_t{1} << bucket_bits(); }
};

// A chunk is named by its end, a multiple of kChunkBytes; what lies there is its trailer.
// Entries fill the bytes before, so that a full chunk is seen from its cursor alone. An entry is
// written as 8 bytes: those beyond it are overwritten by the next, or fall on `spare`.
inline constexpr std::size_t kChunkBytes = 16384;
struct ChunkTrailer {
  std::uint64_t spare;
  std::uint8_t *older;  // end of the chunk filled before, or of the next free one
};

// Entries of a chunk, and bytes at its start that belong to the trailer of the one before.
static inline constexpr std::size_t chunk_entries(std::size_t entry_bytes) {
  return (kChunkBytes - sizeof(ChunkTrailer)) / entry_bytes;
}
static inline constexpr std::size_t chunk_head(std::size_t entry_bytes) {
  return kChunkBytes - chunk_entries(entry_bytes) * entry_bytes;
}

static inline ChunkTrailer *trailer_of(std::uint8_t *end) {
  return reinterpret_cast<ChunkTrailer *>(end);
}

// End of the chunk that a cursor is in. A cursor never rests at the end itself.
static inline std::uint8_t *chunk_end(std::uint8_t *cursor) {
  const auto address = reinterpret_cast<std::uintptr_t>(cursor);
  return cursor + (kChunkBytes - address % kChunkBytes);
}

static inline bool is_at_end(const std::uint8_t *cursor) {
  return reinterpret_cast<std::uintptr_t>(cursor) % kChunkBytes == 0;
}

class SharedChunks;

// One thread's supply: the chunks it has read last first, as they are still in its caches.
struct ChunkPool {
  SharedChunks *shared;
  std::uint8_t *free, *last_free;    // list of ends, and its last
  std::uint8_t *fresh, *fresh_limit;  // ends not used so far
};

// More chunks for an empty pool. Throws OutOfChunks.
void refill(ChunkPool &pool);

static inline std::uint8_t *take_chunk(ChunkPool &pool) {
  for (;;) {
    if (std::uint8_t *end = pool.free) {
      pool.free = trailer_of(end)->older;
      return end;
    }
    if (pool.fresh != pool.fresh_limit) {
      std::uint8_t *end = pool.fresh;
      pool.fresh += kChunkBytes;
      return end;
    }
    refill(pool);
  }
}

static inline void give_chunk(ChunkPool &pool, std::uint8_t *end) {
  if (!pool.free) pool.last_free = end;
  trailer_of(end)->older = pool.free;
  pool.free = end;
}

// One thread's lists, one a bucket: where the next entry goes.
struct MeanLists {
  ChunkPool *pool;
  std::uint8_t **cursors;
};

// First byte of a new chunk on top of the one that ends at `older`.
static inline std::uint8_t *grow(ChunkPool &pool, std::uint8_t *older, std::size_t entry_bytes) {
  std::uint8_t *end = take_chunk(pool);
  trailer_of(end)->older = older;
  return end - chunk_entries(entry_bytes) * entry_bytes;
}

static inline void open_lists(const MeanLists &lists, const MeanShape &shape) {
  for (std::size_t b = 0; b < shape.buckets(); ++b)
    lists.cursors[b] = grow(*lists.pool, nullptr, shape.entry_bytes);
}

// Lines of other lists come between two writes to one: without this each first write to a line
// would wait for memory.
inline constexpr std::size_t kWriteAhead = 256;

// `sorted` holds the bucket in its top bits and the entry in its low ones.
template <std::size_t kEntryBytes>
[[gnu::always_inline]] static inline void push(const MeanLists &lists, std::uint32_t bucket_shift, std::uint64_t sorted) {
  std::uint8_t *&place = lists.cursors[sorted >> bucket_shift];
  std::uint8_t *cursor = place;
  std::memcpy(cursor, &sorted, sizeof sorted);
  __builtin_prefetch(cursor + kWriteAhead, 0, 2);
  cursor += kEntryBytes;
  place = cursor;
  if (is_at_end(cursor)) [[unlikely]]
    place = grow(*lists.pool, cursor, kEntryBytes);
}

// visit(first entry, count, next chunk's first byte or null) for the bucket's chunks, the newest
// first; what `visit` gets may be given back there.
template <std::size_t kEntryBytes, typename Visit>
static inline void for_each_chunk(std::uint8_t *cursor, Visit visit) {
  constexpr std::size_t kBytes = chunk_entries(kEntryBytes) * kEntryBytes;
  const std::uint8_t *stop = cursor;
  for (std::uint8_t *end = chunk_end(cursor); end;) {
    std::uint8_t *older = trailer_of(end)->older;
    const std::uint8_t *first = end - kBytes;
    visit(first, static_cast<std::uint32_t>((stop - first) / kEntryBytes), older, end);
    stop = end = older;
  }
}

}  // namespace farmcpu
