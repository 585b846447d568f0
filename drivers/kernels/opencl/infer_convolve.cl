/* Convolutions as products of matrices that are gathered on the way to local memory. */

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
