/* What a launch is told, by value. `layout.py` has the same records as numpy types.
 *
 * Bytes lie as (pixel, channel), `stride` bytes from one pixel to the next; the channels that a
 * kernel writes are exactly those there are, so that several tensors may share their pixels. */
#ifndef INFER_RECORDS_H
#define INFER_RECORDS_H

typedef unsigned char u8;
typedef signed char i8;
typedef short i16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;

/* From sums to the target: `drivers.kernels.infer.layers`, Rescale and then Residual. */
struct Finish {
  const i32 *bias; /* a channel; absent: 0 */
  const i32 *multiplier;
  const i32 *offset;
  const u8 *other;
  void *target;
  i32 pre_half, pre_shift, pre_low, pre_high, shift, low, high;
  u32 rescales;
  i32 own, theirs, half, residual_shift, residual_low, residual_high, other_zero;
  u32 adds;
  u32 other_stride, target_stride;
  i32 target_zero;
  u32 words;    /* the target is int32 in rows of `plane` pixels a channel, not bytes */
  u32 channels; /* of the target */
  u32 plane;
  u32 wide; /* 8 channels of target and other may be moved at once */
  u32 unused;
};

/* Pixels of the source that make one of the target. */
struct Image {
  i32 height, width, out_height, out_width;
  i32 stride_y, stride_x, pad_y, pad_x;
  u32 pixels; /* of the target, over all images */
  u32 stride; /* of the source */
};

/* Where one unit of a window's bytes lies: `offset` from the window's corner, and how many rows
 * and columns below and right of it. A unit that is nowhere has dy = dx = -32768. */
struct Tap {
  i32 offset;
  i16 dy, dx;
};

/* A bundle is some groups of channels multiplied as one, with zeros between them. */
struct Convolution {
  Finish finish;
  Image image;
  const u8 *source;
  const u8 *outside; /* 16 bytes that stand around the image */
  const i8 *weights; /* a bundle: `rows` rows of 16 * `chunks` bytes */
  const Tap *taps;
  i32 *partial; /* zeros; used where splits > 1 */
  u32 *tickets; /* likewise */
  u32 rows, chunks;
  u32 bundle_in, bundle_out; /* channels */
  u32 splits, split_chunks;
};

struct Depthwise {
  Finish finish;
  Image image;
  const u8 *source;
  const i8 *weights; /* (rows, columns, channels in eights) */
  i32 rows, columns, dilation_y, dilation_x;
  i32 zero;
  u32 unused;
};

struct Pooling {
  Finish finish;
  Image image;
  const u8 *source;
  i32 rows, columns, dilation_y, dilation_x;
  i32 zero;
  u32 largest;
};

/* Bytes to bytes, one by one. */
struct Mapping {
  Finish finish;
  const u8 *source;
  const u8 *table; /* absent: none */
  u32 pixels, stride;
  i32 zero;
  u32 unused;
};

/* Between words and bytes. */
struct Conversion {
  void *bytes;
  void *words;
  u32 images, plane, channels, stride;
  i32 zero;
  u32 unused;
};

/* INFER_TARGET and INFER_FLIPS: the kernels know what they were compiled for. */
struct Told {
  u32 *target;
};

#endif
