// From sums to bytes, in registers. Included only by sources built once per instruction set.
#pragma once

#include "infer_isa.hpp"
#include "infer_vector.hpp"

namespace farmcpu::infer::FARMCPU_ISA {
namespace {

// All but the last clip and the zero; `other` is the other image's bytes where it joins.
template <bool clips, bool joins>
[[gnu::always_inline]] inline Words finish_words(Words x, const Finish &how,
                                                 const int32_t *multiplier, const int32_t *offset,
                                                 const uint8_t *other) {
  x = shift_right(x, (uint32_t)how.rescale.pre_shift);
  if (clips) x = limit(x, how.rescale.pre_low, how.rescale.pre_high);
  x = shift_right(x * load(multiplier) + load(offset), (uint32_t)how.rescale.shift);
  if (!joins) return x;
  const Residual &join = how.residual;
  x = limit(x, how.rescale.low, how.rescale.high) * fill(join.own);
  x += widen(other) * fill(join.theirs) + fill(join.half);
  return shift_right(x, (uint32_t)join.shift);
}

// The last clip, the zero, and the bytes of `channels` of vectors * kLanes words.
template <bool joins, uint32_t vectors>
[[gnu::always_inline]] inline void store_row(const Words *row, const Finish &how, uint8_t *target,
                                             uint32_t channels) {
  const int32_t low = joins ? how.residual.low : how.rescale.low;
  const int32_t high = joins ? how.residual.high : how.rescale.high;
#if FARMCPU_VECTOR_BYTES == 64
  if (vectors == 4 && channels == 4 * kLanes) {
    const __m512i zero = _mm512_set1_epi16((short)how.zero);
    const __m512i first = _mm512_packs_epi32((__m512i)row[0], (__m512i)row[1]);
    const __m512i second = _mm512_packs_epi32((__m512i)row[2], (__m512i)row[3]);
    __m512i bytes = _mm512_packus_epi16(_mm512_adds_epi16(first, zero),
                                        _mm512_adds_epi16(second, zero));
    bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)(low + how.zero)));
    bytes = _mm512_min_epu8(bytes, _mm512_set1_epi8((char)(high + how.zero)));
    const __m512i order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(target, _mm512_permutexvar_epi32(order, bytes));
    return;
  }
#endif
#pragma GCC unroll 4
  for (uint32_t v = 0; v < vectors; ++v) {
    const Words x = limit(row[v], low, high) + fill(how.zero);
    if (channels >= (v + 1) * kLanes)
      narrow(x, target + v * kLanes);
    else if (channels > v * kLanes)
      narrow_some(x, channels - v * kLanes, target + v * kLanes);
  }
}

}  // namespace
}  // namespace farmcpu::infer::FARMCPU_ISA
