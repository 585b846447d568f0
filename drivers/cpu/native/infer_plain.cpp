#include "infer_plain.hpp"

#include <algorithm>
#include <cstring>

#include "infer_scalar.hpp"

namespace farmcpu::infer::plain {
namespace {

std::size_t weights(const Convolution &layer) {
  return std::size_t{layer.target.channels} * (layer.source.channels / layer.groups) *
         layer.window.rows * layer.window.columns;
}

// Where a window lies.
struct Place {
  std::uint32_t n, y, x;
};

Place place_of(const Image &target, std::size_t pixel) {
  const std::size_t row = pixel / target.width;
  return {static_cast<std::uint32_t>(row / target.height),
          static_cast<std::uint32_t>(row % target.height),
          static_cast<std::uint32_t>(pixel % target.width)};
}

std::int64_t row_of(const Window &window, const Place &at, std::uint32_t row) {
  return std::int64_t{at.y} * window.row_stride + std::int64_t{row} * window.row_dilation -
         window.top;
}

std::int64_t column_of(const Window &window, const Place &at, std::uint32_t column) {
  return std::int64_t{at.x} * window.column_stride +
         std::int64_t{column} * window.column_dilation - window.left;
}

// Calls visit(pixel, row, column) for each pixel of the window that lies within the image.
template <typename Visit>
void for_window(const Image &source, const Window &window, const std::uint8_t *bytes,
                const Place &at, const Visit &visit) {
  for (std::uint32_t row = 0; row < window.rows; ++row)
    for (std::uint32_t column = 0; column < window.columns; ++column) {
      const std::int64_t y = row_of(window, at, row), x = column_of(window, at, column);
      if (const std::uint8_t *pixel = pixel_at(source, bytes, at.n, y, x))
        visit(pixel, row, column);
    }
}

std::size_t word_place(const Image &target, const Place &at, std::uint32_t channel) {
  return ((std::size_t{at.n} * target.channels + channel) * target.height + at.y) * target.width +
         at.x;
}

struct Sums {
  const std::int32_t *bias, *multiplier, *offset;
  const std::int8_t *weight;
};

Sums view(const Convolution &layer, const std::uint8_t *packed) {
  const auto *words = reinterpret_cast<const std::int32_t *>(packed);
  const std::uint32_t count = layer.target.channels;
  return {words, words + count, words + 2 * std::size_t{count},
          reinterpret_cast<const std::int8_t *>(words + 3 * std::size_t{count})};
}

std::int32_t sum_of(const Convolution &layer, const Sums &sums, const std::uint8_t *source,
                    const Place &at, std::uint32_t channel) {
  const Window &window = layer.window;
  const std::uint32_t inner = layer.source.channels / layer.groups;
  const std::uint32_t group = channel / (layer.target.channels / layer.groups);
  const std::size_t taps = std::size_t{window.rows} * window.columns;
  const std::int8_t *weight = sums.weight + channel * inner * taps;
  std::int32_t sum = sums.bias[channel];
  for_window(layer.source, window, source, at,
             [&](const std::uint8_t *pixel, std::uint32_t row, std::uint32_t column) {
               const std::int8_t *tap = weight + std::size_t{row} * window.columns + column;
               const std::uint8_t *bytes = pixel + std::size_t{group} * inner;
               for (std::uint32_t i = 0; i < inner; ++i)
                 sum += (bytes[i] - layer.source.zero) * tap[i * taps];
             });
  return sum;
}

void convolve_pixel(const Convolution &layer, const Sums &sums, const Buffers &buffers,
                    std::size_t pixel) {
  const Image &target = layer.target;
  const Place at = place_of(target, pixel);
  for (std::uint32_t channel = 0; channel < target.channels; ++channel) {
    std::int32_t x = sum_of(layer, sums, buffers.source, at, channel);
    if (!layer.rescaled) {
      static_cast<std::int32_t *>(buffers.target)[word_place(target, at, channel)] = x;
      continue;
    }
    x = rescale_one(x, layer.rescale, sums.multiplier[channel], sums.offset[channel]);
    const Residual &join = layer.residual;
    if (layer.has_residual)
      x = join_one(x, buffers.other[pixel * join.pixel_stride + channel] - join.zero, join);
    static_cast<std::uint8_t *>(buffers.target)[pixel * target.pixel_stride + channel] =
        static_cast<std::uint8_t>(x + target.zero);
  }
}

}  // namespace

std::size_t packed_bytes(const Convolution &layer) {
  return 3 * sizeof(std::int32_t) * layer.target.channels + weights(layer);
}

void pack(const Convolution &layer, const Parameters &parameters, std::uint8_t *packed) {
  const std::size_t bytes = sizeof(std::int32_t) * layer.target.channels;
  std::memcpy(packed, parameters.bias, bytes);
  if (layer.rescaled) {
    std::memcpy(packed + bytes, parameters.multiplier, bytes);
    std::memcpy(packed + 2 * bytes, parameters.offset, bytes);
  }
  std::memcpy(packed + 3 * bytes, parameters.weight, weights(layer));
}

void convolve(const Convolution &layer, const std::uint8_t *packed, const Buffers &buffers,
              Team &team) {
  const Sums sums = view(layer, packed);
  const std::size_t rows = std::size_t{layer.target.batch} * layer.target.height;
  const auto tasks = static_cast<std::uint32_t>(std::min<std::size_t>(rows, 4096));
  team.run(tasks, [&](std::uint32_t task, std::uint32_t) {
    const std::size_t width = layer.target.width;
    for (std::size_t pixel = rows * task / tasks * width;
         pixel < rows * (task + 1) / tasks * width; ++pixel)
      convolve_pixel(layer, sums, buffers, pixel);
  });
}

}  // namespace farmcpu::infer::plain
