// Vectors of int32 words and the few instructions that the compiler's own vectors lack. Included
// only by sources that are built once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace farmcpu::infer::FARMCPU_ISA {

using std::int16_t;
using std::int32_t;
using std::size_t;
using std::uint16_t;
using std::uint32_t;
using std::uint8_t;

typedef int32_t Words __attribute__((vector_size(FARMCPU_VECTOR_BYTES)));
typedef int16_t Halves __attribute__((vector_size(FARMCPU_VECTOR_BYTES)));
constexpr uint32_t kLanes = FARMCPU_VECTOR_BYTES / sizeof(int32_t);

namespace {

template <typename Vector = Words>
[[gnu::always_inline]] inline Vector load(const void *from) {
  Vector x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}

template <typename Vector>
[[gnu::always_inline]] inline void store(void *to, Vector x) {
  __builtin_memcpy(to, &x, sizeof x);
}

[[gnu::always_inline]] inline Words fill(int32_t x) { return Words{} + x; }

// The four bytes there in every lane.
[[gnu::always_inline]] inline Words repeat(const uint8_t *from) {
  int32_t x;
  __builtin_memcpy(&x, from, sizeof x);
  return fill(x);
}

#if FARMCPU_VECTOR_BYTES == 64

[[gnu::always_inline]] inline Words larger(Words a, Words b) {
  return (Words)_mm512_max_epi32((__m512i)a, (__m512i)b);
}
[[gnu::always_inline]] inline Words smaller(Words a, Words b) {
  return (Words)_mm512_min_epi32((__m512i)a, (__m512i)b);
}
[[gnu::always_inline]] inline Words widen(const uint8_t *from) {
  return (Words)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
}
// Of words in 0 ... 255.
[[gnu::always_inline]] inline void narrow(Words x, uint8_t *to) {
  _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8((__m512i)x));
}
[[gnu::always_inline]] inline Words shift_right(Words x, uint32_t bits) {
  return (Words)_mm512_sra_epi32((__m512i)x, _mm_cvtsi32_si128((int)bits));
}
// sum + a · b over pairs of 16 bits.
[[gnu::always_inline]] inline Words dot_halves(Words sum, Words a, Words b) {
#if defined(__AVX512VNNI__)
  return (Words)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#else
  return sum + (Words)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#endif
}

#elif FARMCPU_VECTOR_BYTES == 32

[[gnu::always_inline]] inline Words larger(Words a, Words b) {
  return (Words)_mm256_max_epi32((__m256i)a, (__m256i)b);
}
[[gnu::always_inline]] inline Words smaller(Words a, Words b) {
  return (Words)_mm256_min_epi32((__m256i)a, (__m256i)b);
}
[[gnu::always_inline]] inline Words widen(const uint8_t *from) {
  return (Words)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from));
}
[[gnu::always_inline]] inline void narrow(Words x, uint8_t *to) {
  const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)x),
                                         _mm256_extracti128_si256((__m256i)x, 1));
  _mm_storel_epi64((__m128i *)to, _mm_packus_epi16(halves, halves));
}
[[gnu::always_inline]] inline Words shift_right(Words x, uint32_t bits) {
  return (Words)_mm256_sra_epi32((__m256i)x, _mm_cvtsi32_si128((int)bits));
}
[[gnu::always_inline]] inline Words dot_halves(Words sum, Words a, Words b) {
  return sum + (Words)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}

#else

[[gnu::always_inline]] inline Words larger(Words a, Words b) { return a > b ? a : b; }
[[gnu::always_inline]] inline Words smaller(Words a, Words b) { return a < b ? a : b; }
[[gnu::always_inline]] inline Words widen(const uint8_t *from) {
  return Words{from[0], from[1], from[2], from[3]};
}
[[gnu::always_inline]] inline void narrow(Words x, uint8_t *to) {
  for (uint32_t lane = 0; lane < kLanes; ++lane) to[lane] = (uint8_t)x[lane];
}
[[gnu::always_inline]] inline Words shift_right(Words x, uint32_t bits) {
  return x >> (int32_t)bits;
}
[[gnu::always_inline]] inline Words dot_halves(Words sum, Words a, Words b) {
#if defined(__x86_64__)
  return sum + (Words)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif defined(__wasm_simd128__)
  return sum + (Words)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
#elif defined(__aarch64__)
  const int16x8_t x = (int16x8_t)a, y = (int16x8_t)b;
  const int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
  return sum + (Words)vpaddq_s32(low, vmull_high_s16(x, y));
#else
  const Words low = ((a << 16) >> 16) * ((b << 16) >> 16);
  return sum + low + (a >> 16) * (b >> 16);
#endif
}

#endif

// sum + a · b over a panel's step.
[[gnu::always_inline]] inline Words dot(Words sum, Words a, Words b) {
#if defined(__AVX512VNNI__)
  return (Words)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__ARM_FEATURE_MATMUL_INT8)
  return (Words)vusdotq_s32((int32x4_t)sum, (uint8x16_t)a, (int8x16_t)b);
#else
  return dot_halves(sum, a, b);
#endif
}

#if defined(__AVX512VNNI__) || defined(__ARM_FEATURE_MATMUL_INT8)
constexpr uint32_t kElementBytes = 1;
#else
constexpr uint32_t kElementBytes = 2;
#endif

[[gnu::always_inline]] inline Words limit(Words x, int32_t low, int32_t high) {
  return smaller(larger(x, fill(low)), fill(high));
}

[[gnu::always_inline]] inline Halves widen_halves(const uint8_t *from) {
#if FARMCPU_VECTOR_BYTES == 64
  return (Halves)_mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)from));
#elif FARMCPU_VECTOR_BYTES == 32
  return (Halves)_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)from));
#else
  typedef uint8_t Bytes __attribute__((vector_size(FARMCPU_VECTOR_BYTES / 2)));
  Bytes bytes;
  __builtin_memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, Halves);
#endif
}

#if defined(__x86_64__)
[[gnu::always_inline]] inline Words widen_words(const uint16_t *from) {
#if FARMCPU_VECTOR_BYTES == 64
  return (Words)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
#elif FARMCPU_VECTOR_BYTES == 32
  return (Words)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from));
#else
  return Words{from[0], from[1], from[2], from[3]};
#endif
}
#endif

// The first `count` lanes alone.
inline void narrow_some(Words x, uint32_t count, uint8_t *to) {
  uint8_t bytes[kLanes];
  narrow(x, bytes);
  for (uint32_t lane = 0; lane < count; ++lane) to[lane] = bytes[lane];
}

}  // namespace
}  // namespace farmcpu::infer::FARMCPU_ISA
