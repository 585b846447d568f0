#include "engine.hpp"

#include <sys/mman.h>

#include <new>

namespace farmcpu {
namespace {

constexpr std::uint64_t kHugeBytes = std::uint64_t{2} << 20;

}  // namespace

Workspace::Workspace(std::uint64_t bytes)
    : bytes_(bytes),
      mapped_bytes_((bytes / kHugeBytes + 2) * kHugeBytes) {
  void *found = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (found == MAP_FAILED) throw std::bad_alloc();
  mapped_ = static_cast<std::uint8_t *>(found);
  const auto address = reinterpret_cast<std::uintptr_t>(mapped_);
  start_ = mapped_ + (kHugeBytes - address % kHugeBytes) % kHugeBytes;
  madvise(start_, mapped_bytes_ - kHugeBytes, MADV_HUGEPAGE);  // else in small pages
}

Workspace::~Workspace() { munmap(mapped_, mapped_bytes_); }

}  // namespace farmcpu
