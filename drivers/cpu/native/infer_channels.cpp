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
  Words done[pixels];
#pragma GCC unroll 8
  for (uint32_t p = 0; p < pixels; ++p)
    done[p] = finisher.compute(sums[p], row.multiplier + channel, row.offset + channel,
                               joins ? row.other + p * row.other_stride + channel : nullptr);
#pragma GCC unroll 8
  for (uint32_t p = 0; p < pixels; ++p)
    finisher.template store_row<1>(&done[p], row.target + p * row.target_stride + channel,
                                   row.channels - channel);
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

template <uint32_t inner>
struct Places {
  __m512i at[inner / kStepBytes];

  Places() {
    for (uint32_t step = 0; step < inner / kStepBytes; ++step) at[step] = places_of<inner>(step);
  }
};

// The sums of 16 channels from c on, for each pixel.
template <uint32_t pixels, uint32_t stride, uint32_t inner>
[[gnu::always_inline]] inline void sum_groups(const ChannelRow &row, uint32_t c,
                                              const Places<inner> &places,
                                              Words (&sums)[pixels]) {
  constexpr uint32_t kSteps = inner / kStepBytes, kSources = (pixels - 1) * stride + 3;
  const uint8_t *weights = row.weights + c / kLanes * (9 * kSteps * sizeof(Words));
#pragma GCC unroll 8
  for (uint32_t p = 0; p < pixels; ++p) sums[p] = load(row.bias + c);
  for (uint32_t y = 0; y < 3; ++y)
#pragma GCC unroll 4
    for (uint32_t step = 0; step < kSteps; ++step, weights += 3 * sizeof(Words))
      add_window_row<pixels, stride, inner>(sums, row.sources + y * kSources, c, weights, step,
                                            places.at[step]);
}

template <uint32_t pixels, uint32_t stride, uint32_t inner, Style style, bool joins>
struct Grouped {
  const ChannelRow &row;
  const Finisher<style, joins> finisher;
  const Places<inner> places;

  explicit Grouped(const ChannelRow &of) : row(of), finisher(*of.finish) {}

  void run() const {
    uint32_t c = 0;
    for (; c + 4 * kLanes <= row.channels; c += 4 * kLanes) do_line(c);
    for (; c < row.channels; c += kLanes) {
      Words found[pixels];
      compute(c, found);
#pragma GCC unroll 8
      for (uint32_t p = 0; p < pixels; ++p)
        finisher.template store_row<1>(&found[p], row.target + p * row.target_stride + c, kLanes);
    }
  }

 private:
  // 64 channels of each pixel, which are stored at once.
  [[gnu::always_inline]] inline void do_line(uint32_t c) const {
    __m512i pairs[2][pixels];
#pragma GCC unroll 2
    for (uint32_t pair = 0; pair < 2; ++pair) {
      Words first[pixels], second[pixels];
      compute(c + 2 * pair * kLanes, first);
      compute(c + (2 * pair + 1) * kLanes, second);
#pragma GCC unroll 8
      for (uint32_t p = 0; p < pixels; ++p)
        pairs[pair][p] = _mm512_packs_epi32((__m512i)first[p], (__m512i)second[p]);
    }
#pragma GCC unroll 8
    for (uint32_t p = 0; p < pixels; ++p)
      finisher.store_line(pairs[0][p], pairs[1][p], row.target + p * row.target_stride + c);
  }

  [[gnu::always_inline]] inline void compute(uint32_t c, Words (&found)[pixels]) const {
    sum_groups<pixels, stride, inner>(row, c, places, found);
#pragma GCC unroll 8
    for (uint32_t p = 0; p < pixels; ++p)
      found[p] = finisher.compute(found[p], row.multiplier + c, row.offset + c,
                                  joins ? row.other + p * row.other_stride + c : nullptr);
  }
};

template <uint32_t pixels, uint32_t stride, uint32_t inner>
void grouped_in(const ChannelRow &row) {
  choose_style(*row.finish, [&](auto how) {
    Grouped<pixels, stride, inner, how.style, how.joins>(row).run();
  });
}

template <uint32_t pixels, uint32_t stride>
void grouped_of(const ChannelRow &row) {
  if (row.inner == 4) return grouped_in<pixels, stride, 4>(row);
  if (row.inner == 8) return grouped_in<pixels, stride, 8>(row);
  grouped_in<pixels, stride, 16>(row);
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
