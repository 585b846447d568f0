/* One stage of a tile multiplied: `pixels` rows of bytes by `weights` rows of signed bytes, of
 * which the first `chunks` chunks of 16 count (an even number). */
#ifndef INFER_MULTIPLY_CUH
#define INFER_MULTIPLY_CUH

#include "tile.cuh"

#if INFER_TARGET == TARGET_MMA16 || INFER_TARGET == TARGET_MMA32
#if !defined(INFER_HOST)
DEVICE void load_matrices(u32 (&to)[4], const void *row) {
  u32 address;
  asm("{ .reg .u64 wide; cvta.to.shared.u64 wide, %1; cvt.u32.u64 %0, wide; }"
      : "=r"(address)
      : "l"(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}
#if INFER_TARGET == TARGET_MMA32
DEVICE void multiply_16_8_32(i32 (&sums)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
DEVICE void multiply_8_8_16(i32 &left, i32 &right, u32 a, u32 b) {
  asm volatile(
      "mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
      : "+r"(left), "+r"(right)
      : "r"(a), "r"(b));
}
#endif
#endif

/* 16 rows by 8 columns by 32 bytes, into the sums of two steps. */
DEVICE void multiply_block(i32 (&upper)[8], i32 (&lower)[8], int pair, const u32 (&a)[4],
                           const u32 (&b)[2]) {
#if INFER_TARGET == TARGET_MMA32
  i32 sums[4] = {upper[2 * pair], upper[2 * pair + 1], lower[2 * pair], lower[2 * pair + 1]};
  multiply_16_8_32(sums, a, b);
  upper[2 * pair] = sums[0], upper[2 * pair + 1] = sums[1];
  lower[2 * pair] = sums[2], lower[2 * pair + 1] = sums[3];
#else
  multiply_8_8_16(upper[2 * pair], upper[2 * pair + 1], a[0], b[0]);
  multiply_8_8_16(upper[2 * pair], upper[2 * pair + 1], a[2], b[1]);
  multiply_8_8_16(lower[2 * pair], lower[2 * pair + 1], a[1], b[0]);
  multiply_8_8_16(lower[2 * pair], lower[2 * pair + 1], a[3], b[1]);
#endif
}

template <typename T>
DEVICE void multiply_stage(typename T::Sums &sums, const u8 *pixels, const u8 *weights,
                           u32 chunks) {
  const u32 lane = LANE % 32, matrix = lane / 8, row = lane % 8;
#pragma unroll
  for (u32 chunk = 0; chunk < kChunks; chunk += 2) {
    if (chunk >= chunks) break;
    u32 a[T::kWarpRows / 16][4];
#pragma unroll
    for (int i = 0; i < T::kWarpRows / 16; ++i) {
      const u32 from = T::first_row() + 16 * i + row + 8 * (matrix & 1);
      load_matrices(a[i], pixels + place_in_stage(from, chunk + (matrix >> 1)));
    }
#pragma unroll
    for (int j = 0; j < T::kWarpColumns / 16; ++j) {
      u32 b[4];
      const u32 from = T::first_column() + 16 * j + row + 8 * (matrix >> 1);
      load_matrices(b, weights + place_in_stage(from, chunk + (matrix & 1)));
      const u32 left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
#pragma unroll
      for (int i = 0; i < T::kWarpRows / 16; ++i) {
        i32(&upper)[8] = sums.at[2 * i][j / 2];
        i32(&lower)[8] = sums.at[2 * i + 1][j / 2];
        multiply_block(upper, lower, j % 2 * 2, a[i], left);
        multiply_block(upper, lower, j % 2 * 2 + 1, a[i], right);
      }
    }
  }
}

#elif INFER_TARGET == TARGET_MFMA
#if !defined(INFER_HOST)
typedef i32 Four __attribute__((ext_vector_type(4)));
DEVICE void multiply_16_16_16(i32 (&sums)[4], u32 a, u32 b) {
  Four found = {sums[0], sums[1], sums[2], sums[3]};
  found = __builtin_amdgcn_mfma_i32_16x16x16i8((i32)a, (i32)b, found, 0, 0, 0);
#pragma unroll
  for (int i = 0; i < 4; ++i) sums[i] = found[i];
}
#endif

/* The weights are the rows of the instruction's result: a lane has four neighbouring channels. */
template <typename T>
DEVICE void multiply_stage(typename T::Sums &sums, const u8 *pixels, const u8 *weights,
                           u32 chunks) {
  const u32 row = row_of_lane(), word = eight_of_lane();
#pragma unroll
  for (u32 chunk = 0; chunk < kChunks; ++chunk) {
    if (chunk >= chunks) break;
    u32 bytes[T::kSteps];
#pragma unroll
    for (int s = 0; s < T::kSteps; ++s) {
      const u32 place = place_in_stage(T::first_row() + 16 * s + row, chunk);
      bytes[s] = ((const u32 *)(pixels + place))[word] ^ 0x80808080u;
    }
#pragma unroll
    for (int half = 0; half < 2 * T::kBlocks; ++half) {
      const u32 place = place_in_stage(T::first_column() + 16 * half + row, chunk);
      const u32 factors = ((const u32 *)(weights + place))[word];
#pragma unroll
      for (int s = 0; s < T::kSteps; ++s) {
        i32(&eight)[8] = sums.at[s][half / 2];
        const int first = half % 2 * 4;
        i32 four[4] = {eight[first], eight[first + 1], eight[first + 2], eight[first + 3]};
        multiply_16_16_16(four, factors, bytes[s]);
#pragma unroll
        for (int i = 0; i < 4; ++i) eight[first + i] = four[i];
      }
    }
  }
}

#elif INFER_TARGET == TARGET_WGMMA
#include "warpgroup.cuh"

#else
template <typename T>
DEVICE void multiply_stage(typename T::Sums &sums, const u8 *pixels, const u8 *weights,
                           u32 chunks) {
  const u32 row = row_of_lane(), t = eight_of_lane();
#pragma unroll
  for (u32 chunk = 0; chunk < kChunks; ++chunk) {
    if (chunk >= chunks) break;
#pragma unroll
    for (int block = 0; block < T::kBlocks; ++block) {
      Chunk factors[8];
#pragma unroll
      for (u32 i = 0; i < 8; ++i) {
        const u32 from = T::first_column() + 32 * block + 8 * (i / 2) + 2 * t + i % 2;
        factors[i] = *(const Chunk *)(weights + place_in_stage(from, chunk));
      }
#pragma unroll
      for (int s = 0; s < T::kSteps; ++s) {
        const u32 from = T::first_row() + kRowStep * s + row;
        const Chunk bytes = *(const Chunk *)(pixels + place_in_stage(from, chunk));
#pragma unroll
        for (int i = 0; i < 8; ++i) {
#pragma unroll
          for (int word = 0; word < 4; ++word) {
            i32 &sum = sums.at[s][block][i];
            sum = dot(bytes.words[word], factors[i].words[word], sum);
          }
        }
      }
    }
  }
}
#endif

#endif
