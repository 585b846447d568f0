// The plain kernels: one element at a time, for every shape; what the others are checked against
// and what a shape without a faster kernel gets.
#pragma once

#include "infer_kernels.hpp"

namespace farmcpu::infer::plain {

std::size_t packed_bytes(const Convolution &layer);
void pack(const Convolution &layer, const Parameters &parameters, std::uint8_t *packed);
void convolve(const Convolution &layer, const std::uint8_t *packed, const Buffers &buffers,
              Team &team);

}  // namespace farmcpu::infer::plain
