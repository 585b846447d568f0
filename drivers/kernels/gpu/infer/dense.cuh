/* Dense layers of few images: each group of lanes sums eight channels over all of a pixel's
 * window. The time is that of reading the weights. */
#ifndef INFER_DENSE_CUH
#define INFER_DENSE_CUH

#include "convolve.cuh"

constexpr u32 kDenseLanes = 128;
constexpr u32 kDenseSharedBytes = kDenseLanes * 9 * 4;

/* The eight sums of all lanes, in the first lane. */
DEVICE void sum_lanes(i32 (&sums)[8], i32 *shared) {
  constexpr u32 kRow = kDenseLanes + 8; /* Rows of lanes lie in different banks. */
#pragma unroll
  for (int i = 0; i < 8; ++i) shared[i * kRow + LANE] = sums[i];
  synchronise();
  const u32 channel = LANE / 16, part = LANE % 16;
  i32 sum = 0;
  for (u32 lane = part; lane < kDenseLanes; lane += 16) sum += shared[channel * kRow + lane];
  synchronise();
  shared[LANE] = sum;
  synchronise();
  if (LANE != 0) return;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    sums[i] = 0;
    for (int j = 0; j < 16; ++j) sums[i] = (i32)((u32)sums[i] + (u32)shared[16 * i + j]);
  }
}

DEVICE Chunk load_chunk(const Convolution &layer, const Corner &corner, u32 chunk) {
  return *(const Chunk *)find_unit(layer, corner, layer.taps[chunk], 0);
}

/* Weights are rows of channels as they are; units are of 16 bytes. */
DEVICE void multiply_dense(const Convolution &layer, i32 *shared) {
  const u32 pixel = GROUP_Y, channel = 8 * GROUP_X;
  const Corner corner = find_corner(layer.image, pixel);
  const Chunk *weights = (const Chunk *)layer.weights + (u64)channel * layer.chunks;
  i32 sums[8] = {};
  for (u32 chunk = LANE; chunk < layer.chunks; chunk += kDenseLanes) {
    Chunk factors[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) factors[i] = weights[(u64)i * layer.chunks + chunk];
    const Chunk bytes = load_chunk(layer, corner, chunk);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int word = 0; word < 4; ++word) {
        sums[i] = dot(bytes.words[word], factors[i].words[word], sums[i]);
      }
    }
  }
  sum_lanes(sums, shared);
  if (LANE != 0) return;
  const u32 left = layer.bundle_out - channel;
  const Channels own = load_channels(layer.finish, channel);
  finish_pixel(layer.finish, own, pixel, channel, left < 8 ? left : 8, sums);
}

#endif
