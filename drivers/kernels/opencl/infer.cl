/* The inference kernels: the layers of `drivers.kernels.infer.layers`, to the bit.
 *
 * Plans are laid out as for CUDA and HIP (`drivers.kernels.gpu.infer`), and the records of
 * `records.h` come by value. OpenCL has no addresses that last, so a field that is a pointer there
 * is here where in a buffer it points to: `constants` (bias, multiplier, offset, outside, weights,
 * taps, table) or `arena` (all else). The high bits say that it points at all. */
#define LANES 128
#define PLACE(pointer) ((pointer) & 0xFFFFFFFFFFFul)

typedef struct {
  ulong bias, multiplier, offset, other, target;
  int pre_half, pre_shift, pre_low, pre_high, shift, low, high;
  uint rescales;
  int own, theirs, half_up, residual_shift, residual_low, residual_high, other_zero;
  uint adds, other_stride, target_stride;
  int target_zero;
  uint words, channels, plane, wide, unused;
} Finish;

typedef struct {
  int height, width, out_height, out_width, stride_y, stride_x, pad_y, pad_x;
  uint pixels, stride;
} Image;

typedef struct {
  int offset;
  short dy, dx;
} Tap;

typedef struct {
  Finish finish;
  Image image;
  ulong source, outside, weights, taps, partial, tickets;
  uint rows, chunks, bundle_in, bundle_out, splits, split_chunks;
} Convolution;

typedef struct {
  Finish finish;
  Image image;
  ulong source, weights;
  int rows, columns, dilation_y, dilation_x, zero;
  uint unused;
} Depthwise;

typedef struct {
  Finish finish;
  Image image;
  ulong source;
  int rows, columns, dilation_y, dilation_x, zero;
  uint largest;
} Pooling;

typedef struct {
  Finish finish;
  ulong source, table;
  uint pixels, stride;
  int zero;
  uint unused;
} Mapping;

typedef struct {
  ulong bytes, words;
  uint images, plane, channels, stride;
  int zero;
  uint unused;
} Conversion;

typedef struct {
  __global const uchar *constants;
  __global uchar *arena;
} Memory;

#define ARGUMENTS __global const uchar *constants, __global uchar *arena
#define KERNEL __kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void
#define MEMORY {constants, arena}

/* Of eight channels, `count` exist. */
int8 load_bytes(__global const uchar *from, uint count, bool wide) {
  if (wide && count == 8) return convert_int8(*(__global const uchar8 *)from);
  int found[8];
  for (uint i = 0; i < 8; ++i) found[i] = i < count ? from[i] : 0;
  return vload8(0, found);
}

void store_bytes(__global uchar *to, int8 values, uint count, bool wide) {
  const uchar8 bytes = convert_uchar8(values & 255);
  if (wide && count == 8) {
    *(__global uchar8 *)to = bytes;
    return;
  }
  uchar each[8];
  vstore8(bytes, 0, each);
  for (uint i = 0; i < count; ++i) to[i] = each[i];
}

void store_words(__global int *to, int8 values, uint count, uint plane) {
  int each[8];
  vstore8(values, 0, each);
  for (uint i = 0; i < count; ++i) to[(ulong)i * plane] = each[i];
}

int8 load_words(Memory memory, ulong pointer, uint first) {
  return vload8(0, (__global const int *)(memory.constants + PLACE(pointer)) + first);
}

/* Of vectors alone: some compilers widen the bounds wrongly. */
int8 clip(int8 values, int low, int high) { return clamp(values, (int8)low, (int8)high); }

/* From the sums of eight neighbouring channels of one pixel to its bytes or words; `first` is
 * where the channels' own numbers begin. */
void finish_pixel(Memory memory, const Finish *finish, uint first, uint pixel, uint channel,
                  uint count, uint8 sums) {
  if (finish->bias) sums += as_uint8(load_words(memory, finish->bias, first));
  int8 values = as_int8(sums);
  if (finish->rescales) {
    const int8 multiplier = load_words(memory, finish->multiplier, first);
    const int8 offset = load_words(memory, finish->offset, first);
    values = (values + finish->pre_half) >> finish->pre_shift;
    values = clip(values, finish->pre_low, finish->pre_high) * multiplier + offset;
    values = clip(values >> finish->shift, finish->low, finish->high);
  }
  if (finish->adds) {
    const ulong at = PLACE(finish->other) + (ulong)pixel * finish->other_stride + channel;
    const int8 other = load_bytes(memory.arena + at, count, finish->wide) - finish->other_zero;
    values = values * finish->own + other * finish->theirs + finish->half_up;
    values = clip(values >> finish->residual_shift, finish->residual_low, finish->residual_high);
  }
  __global uchar *target = memory.arena + PLACE(finish->target);
  if (finish->words) {
    const ulong row = (ulong)(pixel / finish->plane) * finish->channels + channel;
    __global int *to = (__global int *)target + row * finish->plane + pixel % finish->plane;
    store_words(to, values, count, finish->plane);
  } else {
    target += (ulong)pixel * finish->target_stride + channel;
    store_bytes(target, values + finish->target_zero, count, finish->wide);
  }
}

/* The window of one pixel of the target. Pixels that are none lie far outside. */
typedef struct {
  long at; /* bytes from the source */
  int y, x;
} Corner;

Corner find_corner(const Image *image, uint pixel) {
  Corner found = {0, -(1 << 20), 0};
  if (pixel >= image->pixels) return found;
  const uint plane = (uint)(image->out_height * image->out_width);
  const uint number = pixel / plane, place = pixel % plane;
  found.y = (int)(place / (uint)image->out_width) * image->stride_y - image->pad_y;
  found.x = (int)(place % (uint)image->out_width) * image->stride_x - image->pad_x;
  const long row = (long)number * image->height + found.y;
  found.at = (row * image->width + found.x) * (long)image->stride;
  return found;
}

bool is_inside(const Image *image, int y, int x) {
  return (uint)y < (uint)image->height && (uint)x < (uint)image->width;
}
