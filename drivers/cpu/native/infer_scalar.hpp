// The arithmetic of one element: what every kernel must equal.
#pragma once

#include "infer_kernels.hpp"

namespace farmcpu::infer {

inline std::int32_t clip(std::int32_t x, std::int32_t low, std::int32_t high) {
  return x < low ? low : x > high ? high : x;
}

inline std::int32_t rescale_one(std::int32_t x, const Rescale &by, std::int32_t multiplier,
                                std::int32_t offset) {
  const std::int32_t before = clip((x + by.pre_half) >> by.pre_shift, by.pre_low, by.pre_high);
  return clip((before * multiplier + offset) >> by.shift, by.low, by.high);
}

inline std::int32_t join_one(std::int32_t x, std::int32_t other, const Residual &by) {
  return clip((x * by.own + other * by.theirs + by.half) >> by.shift, by.low, by.high);
}

inline std::size_t pixels(const Image &image) {
  return std::size_t{image.batch} * image.height * image.width;
}

// Where a pixel begins; it may lie outside, in the padding: then null.
inline const std::uint8_t *pixel_at(const Image &image, const std::uint8_t *bytes,
                                    std::uint32_t n, std::int64_t y, std::int64_t x) {
  if (y < 0 || x < 0 || y >= image.height || x >= image.width) return nullptr;
  const std::size_t place = (std::size_t{n} * image.height + y) * image.width + x;
  return bytes + place * image.pixel_stride;
}

}  // namespace farmcpu::infer
