// From sums to bytes, in registers. Included only by sources built once per instruction set.
#pragma once

#include "infer_isa.hpp"
#include "infer_vector.hpp"

namespace farmcpu::infer::FARMCPU_ISA {
namespace {

// A Finish whose numbers are vectors already; the bytes that are written cannot change it.
template <Style style, bool joins>
struct Finisher {
  Words pre_low, pre_high, low, high, own, theirs, half, last_low, last_high, zero;
  uint32_t pre_shift, shift, last_shift;

  [[gnu::always_inline]] explicit inline Finisher(const Finish &how)
      : pre_low(fill(how.rescale.pre_low)),
        pre_high(fill(how.rescale.pre_high)),
        low(fill(how.rescale.low)),
        high(fill(how.rescale.high)),
        own(fill(factor_of(how.residual.own, style))),
        theirs(fill(factor_of(how.residual.theirs, style))),
        half(fill(how.residual.half)),
        last_low(joins ? fill(how.residual.low) : low),
        last_high(joins ? fill(how.residual.high) : high),
        zero(fill(how.zero)),
        pre_shift((uint32_t)how.rescale.pre_shift),
        shift((uint32_t)how.rescale.shift),
        last_shift((uint32_t)how.residual.shift) {}

  // All but the last clip and the zero; `other` is the other image's bytes where it joins.
  [[gnu::always_inline]] inline Words compute(Words x, const int32_t *multiplier,
                                              const int32_t *offset, const uint8_t *other) const {
    x = shift_right(x, pre_shift);
    if (style != Style::kHalves) x = smaller(larger(x, pre_low), pre_high);
    x = shift_right(add_product(load(offset), x, load(multiplier)), shift);
    if (!joins) return x;
    x = smaller(larger(x, low), high);
    x = add_product(add_product(half, x, own), widen(other), theirs);
    return shift_right(x, last_shift);
  }

  // Where halves are multiplied the factor's upper half is 0, so that x's does not count.
  [[gnu::always_inline]] static inline Words add_product(Words sum, Words x, Words factor) {
    if (style == Style::kGeneral) return sum + x * factor;
    return dot_halves(sum, x, factor);
  }

  // The last clip, the zero, and the bytes of `channels` of vectors * kLanes words.
  template <uint32_t vectors>
  [[gnu::always_inline]] inline void store_row(const Words *row, uint8_t *target,
                                               uint32_t channels) const {
#if FARMCPU_VECTOR_BYTES == 64
    if (vectors == 4 && channels == 4 * kLanes)
      return store_line(_mm512_packs_epi32((__m512i)row[0], (__m512i)row[1]),
                        _mm512_packs_epi32((__m512i)row[2], (__m512i)row[3]), target);
#endif
#pragma GCC unroll 4
    for (uint32_t v = 0; v < vectors; ++v) {
      const Words x = smaller(larger(row[v], last_low), last_high) + zero;
      if (channels >= (v + 1) * kLanes)
        narrow(x, target + v * kLanes);
      else if (channels > v * kLanes)
        narrow_some(x, channels - v * kLanes, target + v * kLanes);
    }
  }

#if FARMCPU_VECTOR_BYTES == 64
  // 64 bytes at once, of words that were packed in pairs; those beyond 16 bits, and bytes, are
  // clipped on the way.
  [[gnu::always_inline]] inline void store_line(__m512i first, __m512i second,
                                                uint8_t *target) const {
    const __m512i zeros = _mm512_packs_epi32((__m512i)zero, (__m512i)zero);
    __m512i bytes =
        _mm512_packus_epi16(_mm512_adds_epi16(first, zeros), _mm512_adds_epi16(second, zeros));
    bytes = _mm512_max_epu8(bytes, bytes_of(last_low + zero));
    bytes = _mm512_min_epu8(bytes, bytes_of(last_high + zero));
    const __m512i order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(target, _mm512_permutexvar_epi32(order, bytes));
  }

  [[gnu::always_inline]] static inline __m512i bytes_of(Words x) {
    return _mm512_set1_epi8((char)_mm_cvtsi128_si32(_mm512_castsi512_si128((__m512i)x)));
  }
#endif
};

template <Style style_, bool joins_>
struct Chosen {
  static constexpr Style style = style_;
  static constexpr bool joins = joins_;
};

// visit(Chosen<...>{}) for what the finish is.
template <typename Visit>
[[gnu::always_inline]] inline void choose_style(const Finish &how, const Visit &visit) {
  switch (how.style) {
    case Style::kHalves:
      return how.joins ? visit(Chosen<Style::kHalves, true>{})
                       : visit(Chosen<Style::kHalves, false>{});
    case Style::kClippedHalves:
      return how.joins ? visit(Chosen<Style::kClippedHalves, true>{})
                       : visit(Chosen<Style::kClippedHalves, false>{});
    default:
      return how.joins ? visit(Chosen<Style::kGeneral, true>{})
                       : visit(Chosen<Style::kGeneral, false>{});
  }
}

}  // namespace
}  // namespace farmcpu::infer::FARMCPU_ISA
