// What the transforms of Winograd's convolution take: a tile of 6×6 pixels that gives 4×4.
#pragma once

#include <cstddef>
#include <cstdint>

namespace farmcpu::infer {

struct Finish;

inline constexpr std::uint32_t kTileSide = 6, kTilePositions = 36, kTileStep = 4;

struct TileSource {
  const std::uint8_t *const *pixels;  // 36
  std::uint32_t channels;
  std::int16_t zero;
  std::int16_t *to;             // of position 0; whole vectors are written
  std::size_t position_stride;  // elements
};

struct TileTarget {
  const std::int32_t *sums;     // of position 0
  std::size_t position_stride;  // elements
  std::uint32_t channels;
  std::uint32_t rows, columns;  // of the tile that lie in the target, up to 4
  const std::int32_t *bias, *multiplier, *offset;
  const Finish *finish;
  std::uint8_t *target;
  const std::uint8_t *other;
  std::size_t row_pixels, target_stride, other_stride;
};

struct TileKernels {
  void (*in)(const TileSource &tile);
  void (*out)(const TileTarget &tile);
};

}  // namespace farmcpu::infer
