// The kernels of inference that are built once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer_kernels.hpp"
#include "infer_rows.hpp"
#include "infer_tiles.hpp"

namespace farmcpu::infer {

// Bytes of a step: what one lane of a vector multiplies at a time. 4 elements of a byte, or 2 of
// 16 bits where the instruction set has no exact product of bytes.
inline constexpr std::uint32_t kStepBytes = 4;
inline constexpr std::uint32_t kMaxVectors = 4;

// What the packer found out about a layer's numbers. A product of 16 bits costs less than one of
// 32, and a clip that never binds nothing.
enum class Style : std::uint32_t { kGeneral, kClippedHalves, kHalves };

// A factor as that style multiplies it: of halves the lower one alone.
static constexpr std::int32_t factor_of(std::int32_t factor, Style style) {
  return style == Style::kGeneral ? factor : factor & 0xffff;
}

// What becomes of the sums of a block of channels.
struct Finish {
  Rescale rescale;    // pre_half is in the bias
  Residual residual;  // half is less its image's zero
  std::int32_t zero;  // of the target
  Style style;
  bool joins;
};

// Sums of products of a block of `vectors` x lanes channels for a row of pixels.
struct Panel {
  const std::uint8_t *source;
  const std::uint32_t *starts;  // byte in source of each pixel's window
  std::uint32_t pixels;
  const std::uint32_t *taps;    // byte in a window of each run of steps
  std::uint32_t tap_count, tap_steps;
  const std::uint8_t *weights;  // (tap, step, vector, lane, kStepBytes)
  const std::uint8_t *next;     // weights that are wanted soon, or null
  std::size_t next_bytes;
  const std::int32_t *bias, *multiplier, *offset;
  std::uint32_t vectors, channels;  // channels <= vectors * lanes: those that exist
  const Finish *finish;             // null: the sums are stored as they are
  std::int32_t *sums;               // (pixel, sum_stride): vectors * lanes of each
  std::size_t sum_stride;
  std::uint8_t *target;
  const std::uint8_t *other;
  std::size_t target_stride, other_stride;
};

// The same of convolutions with narrow groups, for a few pixels of a row of the target.
inline constexpr std::uint32_t kDepthwisePixels = 4, kGroupedPixels = 7;

struct ChannelRow {
  // Depthwise: (pixel, tap). Grouped: (3 rows, (pixels - 1) * stride + 3 pixels of the source).
  const std::uint8_t *const *sources;
  std::uint32_t taps;           // depthwise
  std::uint32_t inner, stride;  // grouped: 4, 8 or 16 channels of a group; 1 or 2
  std::uint32_t pixels;         // kDepthwisePixels or kGroupedPixels; or 1
  std::uint32_t channels;
  // Depthwise: (vector of channels, tap, lane) words. Grouped: (vector, row, step, column, lane,
  // kStepBytes).
  const std::uint8_t *weights;
  const std::int32_t *bias, *multiplier, *offset;
  const Finish *finish;
  std::uint8_t *target;
  const std::uint8_t *other;
  std::size_t target_stride, other_stride;
};

struct ChannelKernels {
  void (*depthwise)(const ChannelRow &row);
  void (*grouped)(const ChannelRow &row);  // null where there is none
};

struct InferKernels {
  const char *name;
  std::uint32_t lanes;
  std::uint32_t element_bytes;  // of a panel's source and weights: 1 or 2
  std::uint32_t max_vectors;
  void (*multiply)(const Panel &panel);
  // The same of 16-bit elements, modulo 2^32; only sums.
  void (*multiply_wide)(const Panel &panel);
  void (*widen)(const std::uint8_t *from, std::size_t count, std::int16_t *to);
  // Multiplies registers alone; the products made.
  std::uint64_t (*multiply_registers)(std::uint64_t steps);
  const RowKernels *rows;
  const ChannelKernels *channels;
  const TileKernels *tiles;
};

// The set at a place in the list of sets; null if it is not here or this machine lacks it.
const InferKernels *infer_kernels(std::uint32_t isa);
// The place of the set that new layers are packed for.
std::uint32_t chosen_isa();

}  // namespace farmcpu::infer
