// Winograd's convolution F(4×4, 3×3): a quarter of the products of a direct one, of 16 bits.
//
// The transformed weights are integers because each row of the transform is scaled; all is then
// computed modulo 2^32, and what comes out is 576 y. It gives back y where |y| < 2^25, which is
// proved of the layer's own weights. The operands fit 16 bits for all weights: a tile's values are
// at most 100 · 128, the weights' 49 · 128.
#pragma once

#include "infer_isa.hpp"
#include "infer_kernels.hpp"

namespace farmcpu::infer::winograd {

// Whether this is a layer of that form.
bool fits(const Convolution &layer);
// Whether every sum without its bias is within ±2^25, for all values of the source.
bool is_exact(const Convolution &layer, const std::int8_t *weight);
// Whether it is likely to be faster than a direct one.
bool is_worthwhile(const Convolution &layer);

std::size_t packed_bytes(const InferKernels &isa, const Convolution &layer);
void pack(const InferKernels &isa, const Convolution &layer, Style style,
          const Parameters &parameters, std::uint8_t *packed);
std::size_t scratch_bytes(const InferKernels &isa, const Convolution &layer,
                          std::uint32_t threads);
void convolve(const InferKernels &isa, const Convolution &layer, Style style,
              const std::uint8_t *packed, const Buffers &buffers, Team &team);

}  // namespace farmcpu::infer::winograd
