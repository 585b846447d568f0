/* From the sums of eight neighbouring channels of one pixel to its bytes or words. */
#ifndef INFER_FINISH_CUH
#define INFER_FINISH_CUH

#include "language.cuh"

DEVICE i32 clip(i32 x, i32 low, i32 high) { return x < low ? low : x > high ? high : x; }

/* What the eight channels have of their own. */
struct Channels {
  i32 bias[8], multiplier[8], offset[8];
};

DEVICE void load_words(i32 to[8], const i32 *from) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const Chunk chunk = ((const Chunk *)from)[half];
#pragma unroll
    for (int i = 0; i < 4; ++i) to[4 * half + i] = (i32)chunk.words[i];
  }
}

/* `first` is a multiple of eight. */
DEVICE Channels load_channels(const Finish &finish, u32 first) {
  Channels found;
#pragma unroll
  for (int i = 0; i < 8; ++i) found.bias[i] = 0;
  if (finish.bias) load_words(found.bias, finish.bias + first);
  if (finish.rescales) {
    load_words(found.multiplier, finish.multiplier + first);
    load_words(found.offset, finish.offset + first);
  }
  return found;
}

DEVICE void load_bytes(i32 to[8], const u8 *from, u32 count, bool wide) {
  if (wide && count == 8) {
    const Eight eight = *(const Eight *)from;
#pragma unroll
    for (int i = 0; i < 8; ++i) to[i] = (i32)(eight.words[i / 4] >> 8 * (i % 4) & 255);
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) to[i] = (u32)i < count ? from[i] : 0;
  }
}

DEVICE void store_bytes(u8 *to, const i32 from[8], u32 count, bool wide) {
  if (wide && count == 8) {
    Eight eight = {{0, 0}};
#pragma unroll
    for (int i = 0; i < 8; ++i) eight.words[i / 4] |= (u32)(from[i] & 255) << 8 * (i % 4);
    *(Eight *)to = eight;
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if ((u32)i < count) to[i] = (u8)from[i];
    }
  }
}

DEVICE i32 rescale(const Finish &finish, i32 x, i32 multiplier, i32 offset) {
  x = clip((x + finish.pre_half) >> finish.pre_shift, finish.pre_low, finish.pre_high);
  return clip((x * multiplier + offset) >> finish.shift, finish.low, finish.high);
}

DEVICE void store_words(const Finish &finish, u32 pixel, u32 channel, u32 count,
                        const i32 values[8]) {
  const u32 image = pixel / finish.plane, place = pixel % finish.plane;
  i32 *to = (i32 *)finish.target + ((u64)image * finish.channels + channel) * finish.plane + place;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if ((u32)i < count) to[(u64)i * finish.plane] = values[i];
  }
}

/* `count` of the eight sums are of channels that exist, from `channel` of the target on. */
DEVICE void finish_pixel(const Finish &finish, const Channels &own, u32 pixel, u32 channel,
                         u32 count, i32 values[8]) {
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] = (i32)((u32)values[i] + (u32)own.bias[i]);
  if (finish.rescales) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      values[i] = rescale(finish, values[i], own.multiplier[i], own.offset[i]);
    }
  }
  if (finish.adds) {
    i32 other[8];
    const u8 *from = finish.other + (u64)pixel * finish.other_stride + channel;
    load_bytes(other, from, count, finish.wide);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const i32 sum = values[i] * finish.own + (other[i] - finish.other_zero) * finish.theirs;
      values[i] = clip((sum + finish.half) >> finish.residual_shift, finish.residual_low,
                       finish.residual_high);
    }
  }
  if (finish.words) return store_words(finish, pixel, channel, count, values);
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] += finish.target_zero;
  u8 *to = (u8 *)finish.target + (u64)pixel * finish.target_stride + channel;
  store_bytes(to, values, count, finish.wide);
}

#endif
