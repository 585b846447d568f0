// Edge lists by bucket, in one arena of chunks that are used again as soon as they are read.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "siphash.hpp"

namespace farmcpu {

inline constexpr std::size_t kChunkBytes = 4096;

struct alignas(kChunkBytes) Chunk {
  static constexpr std::size_t kEdges = kChunkBytes / sizeof(Endpoints) - 1;
  Chunk *next;
  Endpoints edges[kEdges];
};
static_assert(sizeof(Chunk) == kChunkBytes);

class OutOfChunks : public std::bad_alloc {};

class ChunkArena {
 public:
  explicit ChunkArena(std::size_t chunks)
      : chunks_(static_cast<Chunk *>(std::aligned_alloc(kChunkBytes, chunks * kChunkBytes))),
        count_(chunks) {
    if (!chunks_) throw std::bad_alloc();
  }

  Chunk *take() {
    if (Chunk *chunk = free_) {
      free_ = chunk->next;
      return chunk;
    }
    if (used_ == count_) throw OutOfChunks();
    return &chunks_.get()[used_++];
  }

  void give(Chunk *chunk) {
    chunk->next = free_;
    free_ = chunk;
  }

  void clear() {
    free_ = nullptr;
    used_ = 0;
  }

 private:
  struct Free {
    void operator()(Chunk *p) const { std::free(p); }
  };
  std::unique_ptr<Chunk, Free> chunks_;
  std::size_t count_, used_ = 0;
  Chunk *free_ = nullptr;
};

// Each bucket is a list of chunks, the newest first and only that one not full.
class Buckets {
 public:
  Buckets(ChunkArena &arena, std::size_t count) : arena_(arena), cursors_(count, nullptr) {}

  // Start all buckets anew, whatever they held.
  void open() {
    for (Endpoints *&cursor : cursors_) cursor = grow(nullptr);
  }

  void swap(Buckets &other) { cursors_.swap(other.cursors_); }

  std::size_t count() const { return cursors_.size(); }

  // Without a branch on `keep`, which nobody could predict.
  void push_if(bool keep, std::size_t bucket, Endpoints edge) {
    Endpoints *&cursor = cursors_[bucket];
    *cursor = edge;
    cursor += keep;
    if (is_at_end(cursor)) [[unlikely]]
      cursor = grow(chunk_of(cursor));
  }

  template <typename Visit>
  void for_each(std::size_t bucket, Visit visit) const {
    const Endpoints *end = cursors_[bucket];
    for (Chunk *chunk = chunk_of(cursors_[bucket]); chunk; chunk = chunk->next) {
      for (const Endpoints *e = chunk->edges; e != end; ++e) visit(*e);
      if (chunk->next) end = chunk->next->edges + Chunk::kEdges;
    }
  }

  // The same, handing each chunk back once it is read; `open` before the bucket is used again.
  template <typename Visit>
  void drain(std::size_t bucket, Visit visit) {
    const Endpoints *end = cursors_[bucket];
    for (Chunk *chunk = chunk_of(cursors_[bucket]); chunk;) {
      for (const Endpoints *e = chunk->edges; e != end; ++e) visit(*e);
      Chunk *older = chunk->next;
      arena_.give(chunk);
      if (older) end = older->edges + Chunk::kEdges;
      chunk = older;
    }
  }

 private:
  // Chunks are aligned to their size and end where their edges do.
  static bool is_at_end(const Endpoints *cursor) {
    return reinterpret_cast<std::uintptr_t>(cursor) % kChunkBytes == 0;
  }

  static Chunk *chunk_of(Endpoints *cursor) {
    const auto last = reinterpret_cast<std::uintptr_t>(cursor) - 1;
    return reinterpret_cast<Chunk *>(last & ~(std::uintptr_t{kChunkBytes} - 1));
  }

  Endpoints *grow(Chunk *older) {
    Chunk *chunk = arena_.take();
    chunk->next = older;
    return chunk->edges;
  }

  ChunkArena &arena_;
  std::vector<Endpoints *> cursors_;
};

}  // namespace farmcpu
