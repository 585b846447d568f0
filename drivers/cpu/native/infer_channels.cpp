// Convolutions whose groups are so narrow that a vector spans several: depthwise, and groups of 4,
// 8 or 16 channels. Built once per instruction set: see isa_kernels.cpp.
#include "infer_multiply.hpp"
#include "infer_vector.hpp"

namespace farmcpu::infer::FARMCPU_ISA {
namespace {

template <uint32_t pixels, Style style, bool joins>
[[gnu::always_inline]] inline void finish_as(const Words *sums, const ChannelRow &row,
                                             uint32_t channel) {
  const Finisher<style, joins> finisher(*row.finish);
#pragma GCC unroll 8
  for (uint32_t p = 0; p < pixels; ++p) {
    const uint8_t *other = joins ? row.other + p * row.other_stride + channel : nullptr;
    const Words x =
        finisher.compute(sums[p], row.multiplier + channel, row.offset + channel, other);
    finisher.template store_row<1>(&x, row.target + p * row.target_stride + channel,
                                   row.channels - channel);
  }
}

template <uint32_t pixels>
[[gnu::always_inline]] inline void finish_pixels(const Words *sums, const ChannelRow &row,
                                                 uint32_t channel) {
  choose_style(*row.finish, [&](auto how) {
    finish_as<pixels, how.style, how.joins>(sums, row, channel);
  });
}

template <uint32_t pixels>
void depthwise_pixels(const ChannelRow &row) {
  const uint8_t *weights = row.weights;
  for (uint32_t c = 0; c < row.channels; c += kLanes) {
    Words sums[pixels];
#pragma GCC unroll 8
    for (uint32_t p = 0; p < pixels; ++p) sums[p] = load(row.bias + c);
    for (uint32_t tap = 0; tap < row.taps; ++tap, weights += sizeof(Words)) {
      const Words weight = load(weights);
#pragma GCC unroll 8
      for (uint32_t p = 0; p < pixels; ++p)
        sums[p] = dot_halves(sums[p], widen(row.sources[p * row.taps + tap] + c), weight);
    }
    finish_pixels<pixels>(sums, row, c);
  }
}

#if defined(__AVX512VNNI__)

// Each lane's step of `inner` channels: those of the group that the lane belongs to.
template <uint32_t inner>
[[gnu::always_inline]] inline Words spread(const uint8_t *from, uint32_t step, __m512i places) {
  if (inner == 16) return repeat(from + step * kStepBytes);
  const __m512i all = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)from));
  return (Words)_mm512_permutexvar_epi32(places, all);
}

template <uint32_t inner>
[[gnu::always_inline]] inline __m512i places_of(uint32_t step) {
  alignas(64) int32_t places[kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    places[lane] = (int32_t)(lane / inner * (inner / kStepBytes) + step);
  return _mm512_load_si512(places);
}

// One row of a 3×3 window: each pixel that is read serves every sum that it belongs to.
template <uint32_t pixels, uint32_t stride, uint32_t inner>
[[gnu::always_inline]] inline void add_window_row(Words *sums, const uint8_t *const *sources,
                                                  uint32_t channel, const uint8_t *weights,
                                                  uint32_t step, __m512i places) {
  const Words weight[3] = {load(weights), load(weights + 64), load(weights + 128)};
#pragma GCC unroll 32
  for (uint32_t i = 0; i < (pixels - 1) * stride + 3; ++i) {
    const Words values = spread<inner>(sources[i] + channel, step, places);
#pragma GCC unroll 3
    for (uint32_t column = 0; column < 3; ++column)
      if (i >= column && (i - column) % stride == 0 && (i - column) / stride < pixels)
        sums[(i - column) / stride] = dot(sums[(i - column) / stride], values, weight[column]);
  }
}

template <uint32_t pixels, uint32_t stride, uint32_t inner>
void grouped_pixels(const ChannelRow &row) {
  constexpr uint32_t kSteps = inner / kStepBytes, kSources = (pixels - 1) * stride + 3;
  const uint8_t *weights = row.weights;
  __m512i places[kSteps];
  for (uint32_t step = 0; step < kSteps; ++step) places[step] = places_of<inner>(step);
  for (uint32_t c = 0; c < row.channels; c += kLanes) {
    Words sums[pixels];
#pragma GCC unroll 8
    for (uint32_t p = 0; p < pixels; ++p) sums[p] = load(row.bias + c);
    for (uint32_t y = 0; y < 3; ++y)
#pragma GCC unroll 4
      for (uint32_t step = 0; step < kSteps; ++step, weights += 3 * sizeof(Words))
        add_window_row<pixels, stride, inner>(sums, row.sources + y * kSources, c, weights, step,
                                              places[step]);
    finish_pixels<pixels>(sums, row, c);
  }
}

template <uint32_t pixels, uint32_t stride>
void grouped_of(const ChannelRow &row) {
  if (row.inner == 4) return grouped_pixels<pixels, stride, 4>(row);
  if (row.inner == 8) return grouped_pixels<pixels, stride, 8>(row);
  grouped_pixels<pixels, stride, 16>(row);
}

void grouped(const ChannelRow &row) {
  const bool many = row.pixels == kGroupedPixels;
  if (row.stride == 1) return many ? grouped_of<kGroupedPixels, 1>(row) : grouped_of<1, 1>(row);
  many ? grouped_of<kGroupedPixels, 2>(row) : grouped_of<1, 2>(row);
}

#endif

void depthwise(const ChannelRow &row) {
  row.pixels == kDepthwisePixels ? depthwise_pixels<kDepthwisePixels>(row)
                                 : depthwise_pixels<1>(row);
}

}  // namespace

extern const ChannelKernels channel_table;
#if defined(__AVX512VNNI__)
const ChannelKernels channel_table = {depthwise, grouped};
#else
const ChannelKernels channel_table = {depthwise, nullptr};
#endif

}  // namespace farmcpu::infer::FARMCPU_ISA
