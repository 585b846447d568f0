/* Convolutions as products of matrices that are gathered on the way to shared memory. */
#ifndef INFER_CONVOLVE_CUH
#define INFER_CONVOLVE_CUH

#include "finish.cuh"
#include "multiply.cuh"

/* The window of one pixel of the target. Pixels that are none lie far outside. */
struct Corner {
  long long at; /* bytes from the source */
  i32 y, x;
};

DEVICE Corner find_corner(const Image &image, u32 pixel) {
  if (pixel >= image.pixels) return {0, -(1 << 20), 0};
  const u32 plane = (u32)(image.out_height * image.out_width);
  const u32 number = pixel / plane, place = pixel % plane;
  const i32 y = (i32)(place / (u32)image.out_width) * image.stride_y - image.pad_y;
  const i32 x = (i32)(place % (u32)image.out_width) * image.stride_x - image.pad_x;
  const long long row = (long long)number * image.height + y;
  return {(row * image.width + x) * image.stride, y, x};
}

DEVICE bool is_inside(const Image &image, i32 y, i32 x) {
  return (u32)y < (u32)image.height && (u32)x < (u32)image.width;
}

DEVICE const u8 *find_unit(const Convolution &layer, const Corner &corner, const Tap &tap,
                           u32 bundle) {
  if (!is_inside(layer.image, corner.y + tap.dy, corner.x + tap.dx)) return layer.outside;
  return layer.source + corner.at + tap.offset + bundle * layer.bundle_in;
}

/* `kUnit` bytes lie together in the source. */
template <int kUnit>
DEVICE void copy_chunk(u8 *to, const Convolution &layer, const Corner &corner, u32 chunk,
                       u32 bundle) {
  const Tap *taps = layer.taps + chunk * (16 / kUnit);
  for (int unit = 0; unit < 16 / kUnit; ++unit) {
    const u8 *from = find_unit(layer, corner, taps[unit], bundle);
    if (kUnit == 16) {
      copy_16(to, from);
    } else {
      copy_4(to + kUnit * unit, from);
    }
  }
}

/* What one lane copies of every stage: the same chunk of several rows. */
template <typename T>
struct Gather {
  static constexpr int kStride = T::kLanes / kChunks, kPerLane = T::kRows / kStride;
  Corner corners[kPerLane];
};

template <typename T>
DEVICE Gather<T> plan_gather(const Convolution &layer) {
  Gather<T> found;
#pragma unroll
  for (int i = 0; i < Gather<T>::kPerLane; ++i) {
    const u32 row = GROUP_X * T::kRows + LANE / kChunks + Gather<T>::kStride * i;
    found.corners[i] = find_corner(layer.image, row);
  }
  return found;
}

/* Queue chunks `first` and on for a stage; past `end` nothing is read. */
template <typename T, int kUnit>
DEVICE void copy_stage(u8 *stage, const Convolution &layer, const Gather<T> &gather, u32 bundle,
                       u32 first, u32 end) {
  const u32 column = LANE % kChunks, chunk = first + column;
  if (chunk >= end) return;
#pragma unroll
  for (int i = 0; i < Gather<T>::kPerLane; ++i) {
    const u32 row = LANE / kChunks + Gather<T>::kStride * i;
    copy_chunk<kUnit>(stage + place_in_stage(row, column), layer, gather.corners[i], chunk, bundle);
  }
  u8 *weights = stage + T::kRows * kDepth;
  for (u32 row = LANE / kChunks; row < T::kColumns; row += Gather<T>::kStride) {
    const u32 number = GROUP_Y * T::kColumns + row;
    if (number >= layer.rows) break;
    const u64 from = ((u64)bundle * layer.rows + number) * layer.chunks + chunk;
    copy_16(weights + place_in_stage(row, column), layer.weights + 16 * from);
  }
}

template <typename T, int kUnit>
DEVICE void sum_products(typename T::Sums &sums, const Convolution &layer, u8 *stages, u32 bundle,
                         u32 first, u32 end) {
  const Gather<T> gather = plan_gather<T>(layer);
  const u32 count = (end - first + kChunks - 1) / kChunks;
  for (u32 number = 0; number < kStages - 1; ++number) {
    if (number < count) {
      u8 *stage = stages + number * T::kBytes;
      copy_stage<T, kUnit>(stage, layer, gather, bundle, first + number * kChunks, end);
    }
    commit_copies();
  }
  for (u32 number = 0; number < count; ++number) {
    await_copies<kStages - 2>();
    show_copies();
    synchronise();
    const u32 ahead = number + kStages - 1;
    if (ahead < count) {
      u8 *stage = stages + ahead % kStages * T::kBytes;
      copy_stage<T, kUnit>(stage, layer, gather, bundle, first + ahead * kChunks, end);
    }
    commit_copies();
    const u8 *stage = stages + number % kStages * T::kBytes;
    const u32 left = end - first - number * kChunks;
    multiply_stage<T>(sums, stage, stage + T::kRows * kDepth, left);
  }
}

template <typename T>
DEVICE u32 channel_of(int block) {
  return GROUP_Y * T::kColumns + T::first_column() + 32 * block + 8 * eight_of_lane();
}

template <typename T>
DEVICE u32 pixel_of(int step) {
  return GROUP_X * T::kRows + T::first_row() + kRowStep * step + row_of_lane();
}

/* Adds the sums to what the splits have so far, or takes and clears what they have. */
template <typename T, bool kTakes>
DEVICE void exchange(const Convolution &layer, typename T::Sums &sums, u32 *partial) {
#pragma unroll
  for (int block = 0; block < T::kBlocks; ++block) {
    const u32 channel = channel_of<T>(block);
    if (channel >= layer.bundle_out) continue;
#pragma unroll
    for (int step = 0; step < T::kSteps; ++step) {
      const u32 pixel = pixel_of<T>(step);
      if (pixel >= layer.image.pixels) continue;
      u32 *at = partial + (u64)pixel * layer.rows + channel;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        if (kTakes) {
          sums.at[step][block][i] = (i32)read_fresh(at + i);
          at[i] = 0;
        } else {
          add(at + i, (u32)sums.at[step][block][i]);
        }
      }
    }
  }
}

/* True in the group that is the last of its tile's splits to come: it has the sums of all. */
template <typename T>
DEVICE bool gather_splits(const Convolution &layer, typename T::Sums &sums, u32 bundle,
                          u32 *is_last) {
  u32 *partial = (u32 *)layer.partial + (u64)bundle * layer.image.pixels * layer.rows;
  exchange<T, false>(layer, sums, partial);
  fence();
  synchronise();
  u32 *ticket = layer.tickets + (bundle * GROUPS_Y + GROUP_Y) * GROUPS_X + GROUP_X;
  if (LANE == 0) *is_last = add(ticket, 1) + 1 == layer.splits;
  synchronise();
  if (!*is_last) return false;
  fence();
  exchange<T, true>(layer, sums, partial);
  if (LANE == 0) *ticket = 0;
  return true;
}

template <typename T>
DEVICE void finish_tile(const Convolution &layer, typename T::Sums &sums, u32 bundle) {
#pragma unroll
  for (int block = 0; block < T::kBlocks; ++block) {
    const u32 channel = channel_of<T>(block);
    if (channel >= layer.bundle_out) continue;
    const Channels own = load_channels(layer.finish, bundle * layer.rows + channel);
    const u32 left = layer.bundle_out - channel, count = left < 8 ? left : 8;
#pragma unroll
    for (int step = 0; step < T::kSteps; ++step) {
      const u32 pixel = pixel_of<T>(step), target = bundle * layer.bundle_out + channel;
      if (pixel >= layer.image.pixels) continue;
      finish_pixel(layer.finish, own, pixel, target, count, sums.at[step][block]);
    }
  }
}

template <typename T, int kUnit>
DEVICE void convolve(const Convolution &layer, u8 *shared) {
  const u32 bundle = GROUP_Z / layer.splits, split = GROUP_Z % layer.splits;
  const u32 first = split * layer.split_chunks;
  const u32 rest = layer.chunks - first;
  const u32 end = first + (rest < layer.split_chunks ? rest : layer.split_chunks);
  typename T::Sums sums = {};
  sum_products<T, kUnit>(sums, layer, shared, bundle, first, end);
  if (layer.splits > 1) {
    synchronise(); /* The stages are read; the first word serves now. */
    if (!gather_splits<T>(layer, sums, bundle, (u32 *)shared)) return;
  }
  finish_tile<T>(layer, sums, bundle);
}

#endif
