// Layers that treat each channel for itself, one pixel (or more) at a time. Built once per
// instruction set: see isa_kernels.cpp.
#include "infer_multiply.hpp"
#include "infer_rows.hpp"
#include "infer_vector.hpp"

namespace farmcpu::infer::FARMCPU_ISA {
namespace {

typedef uint8_t Octets __attribute__((vector_size(FARMCPU_VECTOR_BYTES)));
constexpr uint32_t kOctets = FARMCPU_VECTOR_BYTES;

[[gnu::always_inline]] inline Octets larger_bytes(Octets a, Octets b) {
#if FARMCPU_VECTOR_BYTES == 64
  return (Octets)_mm512_max_epu8((__m512i)a, (__m512i)b);
#elif FARMCPU_VECTOR_BYTES == 32
  return (Octets)_mm256_max_epu8((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return (Octets)_mm_max_epu8((__m128i)a, (__m128i)b);
#else
  return a > b ? a : b;
#endif
}

void copy_bytes(const uint8_t *from, uint32_t count, uint8_t *to) {
  for (uint32_t i = 0; i < count; ++i) to[i] = from[i];
}

Octets largest_of(const Taps &taps, uint32_t channel) {
  Octets x = load<Octets>(taps.pixels[0] + channel);
  for (uint32_t tap = 1; tap < taps.count; ++tap)
    x = larger_bytes(x, load<Octets>(taps.pixels[tap] + channel));
  return x;
}

Words sum_of(const Taps &taps, uint32_t channel) {
  Words x = widen(taps.pixels[0] + channel);
  for (uint32_t tap = 1; tap < taps.count; ++tap) x += widen(taps.pixels[tap] + channel);
  return x;
}

#if defined(__x86_64__)
constexpr uint32_t kPair = 2 * kLanes;
constexpr uint32_t kPairTaps = 256;  // whose sum fits 16 bits

// Sums of kPair channels, in half the steps of words.
void sum_pair(const Taps &taps, uint32_t channel, uint16_t to[kPair]) {
  Halves x = widen_halves(taps.pixels[0] + channel);
  for (uint32_t tap = 1; tap < taps.count; ++tap) x += widen_halves(taps.pixels[tap] + channel);
  store(to, x);
}
#endif

// The last `count` elements of a row, as many as lanes: what lies behind them is not read.
struct Tail {
  int32_t multiplier[kLanes] = {}, offset[kLanes] = {};

  Tail(const Factors &factors, uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      multiplier[i] = factors.multiplier[first + i];
      offset[i] = factors.offset[first + i];
    }
  }
};

// to = rescale(words_at(channel)) for each channel.
template <typename WordsAt>
[[gnu::always_inline]] inline void rescale_row(const WordsAt &words_at, uint32_t channels,
                                               const Factors &factors, uint8_t *to) {
  const Finisher<Style::kGeneral, false> finisher(*factors.finish);
  const Words half = fill(factors.finish->rescale.pre_half);
  uint32_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    const Words x = finisher.compute(words_at(c) + half, factors.multiplier + c,
                                     factors.offset + c, nullptr);
    finisher.template store_row<1>(&x, to + c, kLanes);
  }
  if (c == channels) return;
  const Tail tail(factors, c, channels - c);
  const Words x = finisher.compute(words_at(c) + half, tail.multiplier, tail.offset, nullptr);
  finisher.template store_row<1>(&x, to + c, channels - c);
}

void pool_largest(const Taps &taps, uint32_t channels, uint8_t added, uint8_t *to) {
  uint32_t c = 0;
  for (; c + kOctets <= channels; c += kOctets) store(to + c, largest_of(taps, c) + added);
  if (c == channels) return;
  uint8_t rest[kOctets];
  store(rest, largest_of(taps, c) + added);
  copy_bytes(rest, channels - c, to + c);
}

void pool_sum(const Taps &taps, uint32_t channels, int32_t zeros, int32_t *to) {
  uint32_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) store(to + c, sum_of(taps, c) - zeros);
  if (c == channels) return;
  const Words last = sum_of(taps, c) - zeros;
  for (uint32_t lane = 0; c + lane < channels; ++lane) to[c + lane] = last[lane];
}

void pool_average(const Taps &taps, uint32_t channels, int32_t zeros, const Factors &factors,
                  uint8_t *to) {
  uint32_t c = 0;
#if defined(__x86_64__)
  const Finisher<Style::kGeneral, false> finisher(*factors.finish);
  const Words added = fill(factors.finish->rescale.pre_half - zeros);
  for (; taps.count <= kPairTaps && c + kPair <= channels; c += kPair) {
    uint16_t sums[kPair];
    sum_pair(taps, c, sums);
    for (uint32_t at = c; at < c + kPair; at += kLanes) {
      const Words x = finisher.compute(widen_words(sums + at - c) + added,
                                       factors.multiplier + at, factors.offset + at, nullptr);
      finisher.template store_row<1>(&x, to + at, kLanes);
    }
  }
#endif
  const Factors rest{factors.finish, factors.multiplier + c, factors.offset + c};
  rescale_row([&](uint32_t i) { return sum_of(taps, c + i) - zeros; }, channels - c, rest, to + c);
}

void scale(const uint8_t *from, uint32_t channels, int32_t zero, const Factors &factors,
               uint8_t *to) {
  rescale_row([&](uint32_t c) { return widen(from + c) - zero; }, channels, factors, to);
}

void add(const uint8_t *own, const uint8_t *theirs, uint32_t channels, const Addition &by,
             uint8_t *to) {
  const auto sum = [&](uint32_t c) {
    const Words x = widen(own + c) * fill(by.own) + widen(theirs + c) * fill(by.theirs);
    return limit(shift_right(x + fill(by.half), (uint32_t)by.shift), by.low, by.high) +
           fill(by.zero);
  };
  uint32_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) narrow(sum(c), to + c);
  if (c < channels) narrow_some(sum(c), channels - c, to + c);
}

}  // namespace

extern const RowKernels row_table;
const RowKernels row_table = {pool_largest, pool_sum, pool_average, scale, add};

}  // namespace farmcpu::infer::FARMCPU_ISA
