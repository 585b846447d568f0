// What packing has in common, whatever the method.
#pragma once

#include "infer_isa.hpp"

namespace farmcpu::infer {

// The bias that also undoes the zero of the bytes, and rounds before the first shift.
inline std::int32_t fold_bias(const Convolution &layer, std::int32_t bias,
                              const std::int8_t *weight, std::size_t count) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += static_cast<std::uint32_t>(weight[i]);
  sum = static_cast<std::uint32_t>(bias) - static_cast<std::uint32_t>(layer.source.zero) * sum;
  const std::int32_t half = layer.rescaled ? layer.rescale.pre_half : 0;
  return static_cast<std::int32_t>(sum + static_cast<std::uint32_t>(half));
}

// What becomes of the sums once fold_bias() is in them.
inline Finish finish_of(const Convolution &layer) {
  const Rescale &by = layer.rescale;
  Finish finish{by, layer.residual, layer.target.zero,
                by.pre_low != INT32_MIN || by.pre_high != INT32_MAX, layer.has_residual != 0};
  finish.residual.half -= layer.residual.theirs * layer.residual.zero;
  return finish;
}

}  // namespace farmcpu::infer
