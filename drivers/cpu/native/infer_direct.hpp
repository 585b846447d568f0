// Direct convolution: sums over the taps of a window, a block of channels and pixels at a time.
#pragma once

#include "infer_isa.hpp"
#include "infer_kernels.hpp"

namespace farmcpu::infer::direct {

std::size_t packed_bytes(const InferKernels &isa, const Convolution &layer);
void pack(const InferKernels &isa, const Convolution &layer, Style style,
          const Parameters &parameters, std::uint8_t *packed);
std::size_t scratch_bytes(const InferKernels &isa, const Convolution &layer,
                          std::uint32_t threads);
void convolve(const InferKernels &isa, const Convolution &layer, Style style,
              const std::uint8_t *packed, const Buffers &buffers, Team &team);

}  // namespace farmcpu::infer::direct
