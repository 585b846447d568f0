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

/* The sum plus four products of bytes by signed weights. Sums wrap as they grow, and end where
 * they fit. */
uint dot_bytes(uint bytes, uint weights, uint sum) {
#if INFER_DOT
  return sum + (uint)dot_4x8packed_us_int(bytes, weights);
#else
  const uchar4 b = as_uchar4(bytes);
  const char4 w = as_char4(weights);
  return sum + (uint)(b.s0 * w.s0 + b.s1 * w.s1 + b.s2 * w.s2 + b.s3 * w.s3);
#endif
}

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

/* A unit of `unit` bytes of a window: where in memory it lies. */
__global const uchar *find_unit(Memory memory, const Convolution *layer, const Corner *corner,
                                uint number, uint bundle) {
  const Tap tap = ((__global const Tap *)(memory.constants + PLACE(layer->taps)))[number];
  if (!is_inside(&layer->image, corner->y + tap.dy, corner->x + tap.dx)) {
    return memory.constants + PLACE(layer->outside);
  }
  const long at = corner->at + tap.offset + (long)bundle * layer->bundle_in;
  return memory.arena + PLACE(layer->source) + at;
}

uint4 load_chunk(Memory memory, const Convolution *layer, const Corner *corner, uint chunk,
                 uint bundle, uint unit) {
  if (unit == 16) {
    return *(__global const uint4 *)find_unit(memory, layer, corner, chunk, bundle);
  }
  uint words[4];
  for (uint i = 0; i < 4; ++i) {
    words[i] = *(__global const uint *)find_unit(memory, layer, corner, 4 * chunk + i, bundle);
  }
  return vload4(0, words);
}

uint4 load_weights(Memory memory, const Convolution *layer, uint bundle, uint row, uint chunk) {
  const ulong number = ((ulong)bundle * layer->rows + row) * layer->chunks + chunk;
  return ((__global const uint4 *)(memory.constants + PLACE(layer->weights)))[number];
}

/* A group sums 64 pixels by 64 channels, 64 bytes of each at a stage; a lane has four pixels by
 * eight channels. A stage lies word by word, so that neighbouring lanes read what is near. */
#define TILE 64
#define CHUNKS 4

void store_chunk(__local uint *words, uint row, uint chunk, uint4 value) {
  words += 4 * chunk * TILE + row;
  words[0] = value.s0;
  words[TILE] = value.s1;
  words[2 * TILE] = value.s2;
  words[3 * TILE] = value.s3;
}

void load_stage(Memory memory, const Convolution *layer, const Corner *corner, uint first,
                uint end, uint unit, __local uint *pixels, __local uint *weights) {
  const uint lane = get_local_id(0), row = lane % TILE, number = get_group_id(1) * TILE + row;
  const uint bundle = get_group_id(2) / layer->splits;
  for (uint i = lane / TILE; i < CHUNKS; i += LANES / TILE) {
    const uint chunk = first + i;
    uint4 bytes = 0, factors = 0;
    if (chunk < end) {
      bytes = load_chunk(memory, layer, corner, chunk, bundle, unit);
      if (number < layer->rows) factors = load_weights(memory, layer, bundle, number, chunk);
    }
    store_chunk(pixels, row, i, bytes);
    store_chunk(weights, row, i, factors);
  }
}

uint8 multiply_pixel(uint bytes, uint8 factors, uint8 sums) {
  sums.s0 = dot_bytes(bytes, factors.s0, sums.s0);
  sums.s1 = dot_bytes(bytes, factors.s1, sums.s1);
  sums.s2 = dot_bytes(bytes, factors.s2, sums.s2);
  sums.s3 = dot_bytes(bytes, factors.s3, sums.s3);
  sums.s4 = dot_bytes(bytes, factors.s4, sums.s4);
  sums.s5 = dot_bytes(bytes, factors.s5, sums.s5);
  sums.s6 = dot_bytes(bytes, factors.s6, sums.s6);
  sums.s7 = dot_bytes(bytes, factors.s7, sums.s7);
  return sums;
}

void multiply_stage(__local const uint *pixels, __local const uint *weights, uint8 sums[4]) {
  const uint lane = get_local_id(0);
  for (uint word = 0; word < 4 * CHUNKS; ++word) {
    const uint4 bytes = vload4(lane % 16, pixels + word * TILE);
    const uint8 factors = vload8(lane / 16, weights + word * TILE);
    sums[0] = multiply_pixel(bytes.s0, factors, sums[0]);
    sums[1] = multiply_pixel(bytes.s1, factors, sums[1]);
    sums[2] = multiply_pixel(bytes.s2, factors, sums[2]);
    sums[3] = multiply_pixel(bytes.s3, factors, sums[3]);
  }
}

/* The sums that the splits of a tile add to: zeros before them. */
__global int *find_partial(Memory memory, const Convolution *layer, uint bundle, uint pixel,
                           uint channel) {
  const ulong row = (ulong)bundle * layer->image.pixels + pixel;
  return (__global int *)(memory.arena + PLACE(layer->partial)) + row * layer->rows + channel;
}

void add_sums(__global int *to, uint8 sums, uint count) {
  int each[8];
  vstore8(as_int8(sums), 0, each);
  for (uint i = 0; i < count; ++i) atomic_add(to + i, each[i]);
}

void finish_tile(Memory memory, const Convolution *layer, const uint8 sums[4]) {
  const uint lane = get_local_id(0), bundle = get_group_id(2) / layer->splits;
  const uint channel = get_group_id(1) * TILE + lane / 16 * 8;
  if (channel >= layer->bundle_out) return;
  const uint count = min(8u, layer->bundle_out - channel);
  const uint target = bundle * layer->bundle_out + channel;
  for (uint i = 0; i < 4; ++i) {
    const uint pixel = get_group_id(0) * TILE + lane % 16 * 4 + i;
    if (pixel >= layer->image.pixels) return;
    if (layer->splits > 1) {
      add_sums(find_partial(memory, layer, bundle, pixel, channel), sums[i], count);
    } else {
      finish_pixel(memory, &layer->finish, bundle * layer->rows + channel, pixel, target, count,
                   sums[i]);
    }
  }
}

void convolve_tile(Memory memory, const Convolution *layer, uint unit, __local uint *pixels,
                   __local uint *weights) {
  const uint pixel = get_group_id(0) * TILE + get_local_id(0) % TILE;
  const Corner corner = find_corner(&layer->image, pixel);
  const uint begin = get_group_id(2) % layer->splits * layer->split_chunks;
  const uint end = min(layer->chunks, begin + layer->split_chunks);
  uint8 sums[4] = {0, 0, 0, 0};
  for (uint first = begin; first < end; first += CHUNKS) {
    load_stage(memory, layer, &corner, first, end, unit, pixels, weights);
    barrier(CLK_LOCAL_MEM_FENCE);
    multiply_stage(pixels, weights, sums);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  finish_tile(memory, layer, sums);
}

KERNEL convolve(ARGUMENTS, const Convolution layer) {
  __local uint pixels[4 * CHUNKS * TILE], weights[4 * CHUNKS * TILE];
  const Memory memory = MEMORY;
  convolve_tile(memory, &layer, 16, pixels, weights);
}

/* Of sources with four bytes a pixel. */
KERNEL convolve_first(ARGUMENTS, const Convolution layer) {
  __local uint pixels[4 * CHUNKS * TILE], weights[4 * CHUNKS * TILE];
  const Memory memory = MEMORY;
  convolve_tile(memory, &layer, 4, pixels, weights);
}

/* What the splits of all tiles have added up, to the target; zeros again for the next run. */
KERNEL finish_splits(ARGUMENTS, const Convolution layer) {
  const Memory memory = MEMORY;
  const uint eights = (layer.bundle_out + 7) / 8;
  const uint bundles = layer.finish.channels / layer.bundle_out;
  const ulong number = get_global_id(0), row = number / eights;
  if (row >= (ulong)layer.image.pixels * bundles) return;
  const uint bundle = row % bundles, pixel = row / bundles, channel = 8 * (uint)(number % eights);
  const uint count = min(8u, layer.bundle_out - channel);
  __global int *partial = find_partial(memory, &layer, bundle, pixel, channel);
  const uint8 sums = as_uint8(vload8(0, partial));
  vstore8((int8)0, 0, partial);
  finish_pixel(memory, &layer.finish, bundle * layer.rows + channel, pixel,
               bundle * layer.bundle_out + channel, count, sums);
}

/* Dense layers of few images: each group sums eight channels over all of a pixel's window. */
KERNEL dense(ARGUMENTS, const Convolution layer) {
  __local uint shares[8 * LANES];
  const Memory memory = MEMORY;
  const uint lane = get_local_id(0), channel = 8 * get_group_id(0), pixel = get_group_id(1);
  const Corner corner = find_corner(&layer.image, pixel);
  uint sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  for (uint chunk = lane; chunk < layer.chunks; chunk += LANES) {
    const uint4 bytes = load_chunk(memory, &layer, &corner, chunk, 0, 16);
    for (uint i = 0; i < 8; ++i) {
      const uint4 factors = load_weights(memory, &layer, 0, channel + i, chunk);
      sums[i] = dot_bytes(bytes.s0, factors.s0, sums[i]);
      sums[i] = dot_bytes(bytes.s1, factors.s1, sums[i]);
      sums[i] = dot_bytes(bytes.s2, factors.s2, sums[i]);
      sums[i] = dot_bytes(bytes.s3, factors.s3, sums[i]);
    }
  }
  for (uint i = 0; i < 8; ++i) shares[i * LANES + lane] = sums[i];
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint left = LANES / 2; left; left /= 2) {
    for (uint i = 0; lane < left && i < 8; ++i) {
      shares[i * LANES + lane] += shares[i * LANES + lane + left];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (lane) return;
  for (uint i = 0; i < 8; ++i) sums[i] = shares[i * LANES];
  const uint count = min(8u, layer.bundle_out - channel);
  finish_pixel(memory, &layer.finish, channel, pixel, channel, count, vload8(0, sums));
}
