#include <algorithm>

#include "cuckoo_mean.hpp"

namespace farmcpu {
namespace {

// Chunks handed to a thread at a time.
constexpr std::size_t kBatch = 64;
// Vectors are read past the last chunk's end.
constexpr std::size_t kBeyond = 256;

}  // namespace

std::size_t SharedChunks::bytes(std::size_t chunks) {
  return (chunks + 1) * kChunkBytes + kBeyond;
}

SharedChunks::SharedChunks(std::size_t chunks) : chunks_(chunks), memory_(bytes(chunks)) {}

void SharedChunks::reset(std::vector<ChunkPool> &pools) {
  fresh_ = memory_.data() + kChunkBytes;  // the end of the first chunk
  free_ = nullptr;
  for (ChunkPool &pool : pools) pool = {this, nullptr, nullptr, nullptr, nullptr};
}

void SharedChunks::collect(std::vector<ChunkPool> &pools) {
  if (pools.size() == 1) return;
  for (ChunkPool &pool : pools) {
    if (!pool.free) continue;
    trailer_of(pool.last_free)->older = free_;
    free_ = std::exchange(pool.free, nullptr);
  }
}

void SharedChunks::refill(ChunkPool &pool) {
  const std::lock_guard hold(lock_);
  std::uint8_t *const limit = memory_.data() + (chunks_ + 1) * kChunkBytes;
  if (fresh_ != limit) {
    pool.fresh = fresh_;
    fresh_ += std::min<std::size_t>(kBatch * kChunkBytes, limit - fresh_);
    pool.fresh_limit = fresh_;
    return;
  }
  if (!free_) throw OutOfChunks();
  for (std::size_t i = 0; i < kBatch && free_; ++i) {
    std::uint8_t *end = free_;
    free_ = trailer_of(end)->older;
    give_chunk(pool, end);
  }
}

void refill(ChunkPool &pool) { pool.shared->refill(pool); }

}  // namespace farmcpu
