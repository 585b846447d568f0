// Convolutions with narrow groups: depthwise, and 3×3 with groups of 4, 8 or 16 channels. Windows
// are read where they lie; what is outside the image is read from a blank pixel.
#pragma once

#include "infer_isa.hpp"
#include "infer_kernels.hpp"

namespace farmcpu::infer::narrow {

// Whether this set has a kernel of that method for the layer.
bool fits(const InferKernels &isa, const Convolution &layer, Method method);
std::size_t packed_bytes(const InferKernels &isa, const Convolution &layer);
void pack(const InferKernels &isa, const Convolution &layer, Style style,
          const Parameters &parameters, std::uint8_t *packed);
std::size_t scratch_bytes(const Convolution &layer, std::uint32_t threads);
void convolve(const InferKernels &isa, const Convolution &layer, Style style,
              const std::uint8_t *packed, const Buffers &buffers, Team &team);

}  // namespace farmcpu::infer::narrow
