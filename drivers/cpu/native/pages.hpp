// Large memory straight from the kernel, in huge pages where those are allowed. It is resident
// only where touched, and can be given back by parts.
#pragma once

#ifdef __wasm__
#include <cstdlib>
#include <cstring>
#else
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace farmcpu {

#ifdef __wasm__

// From the heap, which gives nothing back.
class Pages {
 public:
  static constexpr std::size_t kAlignment = std::size_t{1} << 16;

  Pages() = default;
  explicit Pages(std::size_t bytes) : bytes_(bytes) {
    const std::size_t whole = (bytes + kAlignment) & ~(kAlignment - 1);
    start_ = static_cast<std::uint8_t *>(std::aligned_alloc(kAlignment, whole));
    if (!start_) throw std::bad_alloc();
    std::memset(start_, 0, bytes);
  }
  Pages(Pages &&other) noexcept { *this = std::move(other); }
  Pages &operator=(Pages &&other) noexcept {
    std::swap(start_, other.start_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Pages() { std::free(start_); }

  std::uint8_t *data() const { return start_; }
  std::size_t bytes() const { return bytes_; }
  void release(std::size_t, std::size_t) {}
  void release() {}

 private:
  std::size_t bytes_ = 0;
  std::uint8_t *start_ = nullptr;
};

#else

class Pages {
 public:
  static constexpr std::size_t kHugeBytes = std::size_t{2} << 20;

  Pages() = default;
  explicit Pages(std::size_t bytes) : bytes_(bytes) {
    mapped_bytes_ = bytes + kHugeBytes;
    mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped_ == MAP_FAILED) throw std::bad_alloc();
    const auto address = reinterpret_cast<std::uintptr_t>(mapped_);
    start_ = reinterpret_cast<std::uint8_t *>((address + kHugeBytes - 1) & ~(kHugeBytes - 1));
    if (bytes >= kHugeBytes) madvise(start_, bytes & ~(kHugeBytes - 1), MADV_HUGEPAGE);
  }
  Pages(Pages &&other) noexcept { *this = std::move(other); }
  Pages &operator=(Pages &&other) noexcept {
    std::swap(mapped_, other.mapped_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    std::swap(start_, other.start_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Pages() {
    if (start_) munmap(mapped_, mapped_bytes_);
  }

  std::uint8_t *data() const { return start_; }
  std::size_t bytes() const { return bytes_; }

  // Give back the huge pages that lie wholly in [from, to); they read as zero from then on.
  // What is smaller is not worth the call.
  void release(std::size_t from, std::size_t to) {
    if (bytes_ < kHugeBytes) return;
    from = (from + kHugeBytes - 1) & ~(kHugeBytes - 1);
    to = to == bytes_ ? to : to & ~(kHugeBytes - 1);
    if (from < to) madvise(start_ + from, to - from, MADV_DONTNEED);
  }
  void release() { release(0, bytes_); }

 private:
  void *mapped_ = nullptr;
  std::size_t mapped_bytes_ = 0, bytes_ = 0;
  std::uint8_t *start_ = nullptr;
};

#endif

}  // namespace farmcpu
