/* Layers that treat each channel for itself: a lane has eight channels of one pixel. */
#ifndef INFER_PLANES_CUH
#define INFER_PLANES_CUH

#include "convolve.cuh"

/* Which eight channels of which pixel a lane has; `count` is 0 where there are none. */
struct Share {
  u32 pixel, channel, count;
};

DEVICE Share share_out(u32 pixels, u32 channels) {
  const u32 eights = (channels + 7) / 8;
  const u64 number = (u64)GROUP_X * LANES + LANE;
  const u64 pixel = number / eights;
  if (pixel >= pixels) return {0, 0, 0};
  const u32 channel = 8 * (u32)(number % eights), left = channels - channel;
  return {(u32)pixel, channel, left < 8 ? left : 8};
}

/* Where a channel of the source lies, `y` and `x` from a window's corner. */
DEVICE const u8 *at_pixel(const u8 *source, const Image &image, const Corner &corner, i32 y,
                          i32 x, u32 channel) {
  return source + corner.at + ((long long)y * image.width + x) * image.stride + channel;
}

DEVICE void convolve_depthwise(const Depthwise &layer) {
  const Share share = share_out(layer.image.pixels, layer.finish.channels);
  if (!share.count) return;
  const Corner corner = find_corner(layer.image, share.pixel);
  const u32 row_bytes = (layer.finish.channels + 7) / 8 * 8;
  const bool wide = layer.image.stride % 8 == 0;
  i32 sums[8] = {};
  for (i32 row = 0; row < layer.rows; ++row) {
    for (i32 column = 0; column < layer.columns; ++column) {
      const i32 y = row * layer.dilation_y, x = column * layer.dilation_x;
      if (!is_inside(layer.image, corner.y + y, corner.x + x)) continue;
      i32 bytes[8], factors[8];
      const u8 *from = at_pixel(layer.source, layer.image, corner, y, x, share.channel);
      load_bytes(bytes, from, share.count, wide);
      const i8 *weights = layer.weights + (row * layer.columns + column) * row_bytes;
      load_bytes(factors, (const u8 *)weights + share.channel, 8, true);
#pragma unroll
      for (int i = 0; i < 8; ++i) sums[i] += (bytes[i] - layer.zero) * (i8)factors[i];
    }
  }
  const Channels own = load_channels(layer.finish, share.channel);
  finish_pixel(layer.finish, own, share.pixel, share.channel, share.count, sums);
}

DEVICE void pool(const Pooling &layer) {
  const Share share = share_out(layer.image.pixels, layer.finish.channels);
  if (!share.count) return;
  const Corner corner = find_corner(layer.image, share.pixel);
  const bool wide = layer.image.stride % 8 == 0;
  i32 found[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) found[i] = layer.largest ? -layer.zero : 0;
  for (i32 row = 0; row < layer.rows; ++row) {
    for (i32 column = 0; column < layer.columns; ++column) {
      const i32 y = row * layer.dilation_y, x = column * layer.dilation_x;
      if (!is_inside(layer.image, corner.y + y, corner.x + x)) continue;
      i32 bytes[8];
      const u8 *from = at_pixel(layer.source, layer.image, corner, y, x, share.channel);
      load_bytes(bytes, from, share.count, wide);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const i32 value = bytes[i] - layer.zero;
        found[i] = !layer.largest ? found[i] + value : value > found[i] ? value : found[i];
      }
    }
  }
  const Channels own = load_channels(layer.finish, share.channel);
  finish_pixel(layer.finish, own, share.pixel, share.channel, share.count, found);
}

DEVICE void map_bytes(const Mapping &layer) {
  const Share share = share_out(layer.pixels, layer.finish.channels);
  if (!share.count) return;
  i32 values[8];
  const u8 *from = layer.source + (u64)share.pixel * layer.stride + share.channel;
  load_bytes(values, from, share.count, layer.stride % 8 == 0);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    values[i] = (layer.table ? layer.table[values[i]] : values[i]) - layer.zero;
  }
  const Channels own = load_channels(layer.finish, share.channel);
  finish_pixel(layer.finish, own, share.pixel, share.channel, share.count, values);
}

/* Neighbouring lanes have neighbouring pixels: so words lie in memory. */
template <bool kToBytes>
DEVICE void convert(const Conversion &layer) {
  const u32 eights = (layer.channels + 7) / 8;
  const u64 number = (u64)GROUP_X * LANES + LANE;
  const u64 row = number / layer.plane, place = number % layer.plane;
  const u64 image = row / eights;
  if (image >= layer.images) return;
  const u32 first = 8 * (u32)(row % eights), left = layer.channels - first;
  u8 *bytes = (u8 *)layer.bytes + (image * layer.plane + place) * layer.stride + first;
  i32 *words = (i32 *)layer.words + (image * layer.channels + first) * layer.plane + place;
  const u32 count = left < 8 ? left : 8;
  i32 values[8];
  if (kToBytes) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      values[i] = (u32)i < count ? words[(u64)i * layer.plane] + layer.zero : 0;
    }
    store_bytes(bytes, values, count, layer.stride % 8 == 0);
  } else {
    load_bytes(values, bytes, count, layer.stride % 8 == 0);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if ((u32)i < count) words[(u64)i * layer.plane] = values[i] - layer.zero;
    }
  }
}

#endif
