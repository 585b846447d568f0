// What packing has in common, whatever the method.
#pragma once

#include <algorithm>
#include <vector>

#include "infer_isa.hpp"

namespace farmcpu::infer {

inline std::size_t round_up(std::size_t x, std::size_t to) { return (x + to - 1) / to * to; }

// A block of channels that are computed together.
struct Block {
  std::uint32_t group, first, channels;  // first: of the target
  std::uint32_t vectors;
  std::size_t lanes_before, vectors_before;
};

inline std::vector<Block> list_blocks(const InferKernels &isa, const Convolution &layer) {
  const std::uint32_t outer = layer.target.channels / layer.groups;
  const std::uint32_t vectors = (outer + isa.lanes - 1) / isa.lanes;
  const std::uint32_t count = (vectors + isa.max_vectors - 1) / isa.max_vectors;
  std::vector<Block> blocks;
  std::size_t before = 0;
  for (std::uint32_t group = 0; group < layer.groups; ++group)
    for (std::uint32_t i = 0, used = 0; i < count; ++i) {
      const std::uint32_t width = (vectors - used + count - i - 1) / (count - i);
      const std::uint32_t channels = std::min(outer - used * isa.lanes, width * isa.lanes);
      blocks.push_back({group, group * outer + used * isa.lanes, channels, width,
                        before * isa.lanes, before});
      used += width;
      before += width;
    }
  return blocks;
}

// The bias that also undoes the zero of the bytes, and rounds before the first shift.
inline std::int32_t fold_bias(const Convolution &layer, std::int32_t bias,
                              const std::int8_t *weight, std::size_t count) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += static_cast<std::uint32_t>(weight[i]);
  sum = static_cast<std::uint32_t>(bias) - static_cast<std::uint32_t>(layer.source.zero) * sum;
  const std::int32_t half = layer.rescaled ? layer.rescale.pre_half : 0;
  return static_cast<std::int32_t>(sum + static_cast<std::uint32_t>(half));
}

// The least and the largest sum of products that the source's bounds allow.
struct Range {
  std::int64_t low, high;
};

inline Range range_of(const Convolution &layer, const std::int8_t *weight, std::size_t count) {
  const std::int64_t low = std::min(layer.source_low, 0), high = std::max(layer.source_high, 0);
  std::int64_t up = 0, down = 0;  // sums of the weights above and below 0
  for (std::size_t i = 0; i < count; ++i) (weight[i] > 0 ? up : down) += weight[i];
  return {up * low + down * high, up * high + down * low};
}

Style find_style(const Convolution &layer, const Parameters &parameters);

// What becomes of the sums once fold_bias() is in them.
inline Finish finish_of(const Convolution &layer, Style style) {
  Finish finish{layer.rescale, layer.residual, layer.target.zero, style, layer.has_residual != 0};
  finish.residual.half -= layer.residual.theirs * layer.residual.zero;
  return finish;
}

}  // namespace farmcpu::infer
