// What the kernels of single channels take.
#pragma once

#include <cstdint>

namespace farmcpu::infer {

struct Finish;

// The pixels of a window that lie within the image; at least one.
struct Taps {
  const std::uint8_t *const *pixels;
  std::uint32_t count;
};

struct Factors {
  const Finish *finish;
  const std::int32_t *multiplier, *offset;  // one for each channel
};

// clip((own byte · own + their byte · theirs + half) >> shift) + zero; the zeros of both images
// are in `half`.
struct Addition {
  std::int32_t own, theirs, half, shift, low, high, zero;
};

// A pixel at a time; `channels` of it are written and no more.
struct RowKernels {
  // The largest byte, plus `added`.
  void (*pool_largest)(const Taps &taps, std::uint32_t channels, std::uint8_t added,
                       std::uint8_t *to);
  // The sum of the bytes less `zeros`, and the same rescaled.
  void (*pool_sum)(const Taps &taps, std::uint32_t channels, std::int32_t zeros, std::int32_t *to);
  void (*pool_average)(const Taps &taps, std::uint32_t channels, std::int32_t zeros,
                       const Factors &factors, std::uint8_t *to);
  void (*scale)(const std::uint8_t *from, std::uint32_t channels, std::int32_t zero,
                const Factors &factors, std::uint8_t *to);
  void (*add)(const std::uint8_t *own, const std::uint8_t *theirs, std::uint32_t channels,
              const Addition &by, std::uint8_t *to);
};

}  // namespace farmcpu::infer
