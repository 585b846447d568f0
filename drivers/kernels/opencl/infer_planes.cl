/* Layers that treat each channel for itself: a lane has eight channels of one pixel. */

typedef struct {
  uint pixel, channel, count; /* of channels that exist: 0 where there is nothing to do */
} Share;

Share share_out(uint pixels, uint channels) {
  const uint eights = (channels + 7) / 8;
  const ulong number = get_global_id(0), pixel = number / eights;
  const uint channel = 8 * (uint)(number % eights);
  const Share found = {(uint)pixel, channel, pixel < pixels ? min(8u, channels - channel) : 0};
  return found;
}

/* Bytes from the source to a channel of a window's pixel. */
ulong find_channel(const Image *image, const Corner *corner, int y, int x, uint channel) {
  return corner->at + ((long)y * image->width + x) * (long)image->stride + channel;
}

KERNEL depthwise(ARGUMENTS, const Depthwise layer) {
  const Memory memory = MEMORY;
  const Share share = share_out(layer.image.pixels, layer.finish.channels);
  if (!share.count) return;
  const Corner corner = find_corner(&layer.image, share.pixel);
  const uint row_bytes = (layer.finish.channels + 7) / 8 * 8;
  __global const char *weights = (__global const char *)constants + PLACE(layer.weights);
  int8 sums = 0;
  for (int row = 0; row < layer.rows; ++row) {
    for (int column = 0; column < layer.columns; ++column) {
      const int y = row * layer.dilation_y, x = column * layer.dilation_x;
      if (!is_inside(&layer.image, corner.y + y, corner.x + x)) continue;
      const ulong at = find_channel(&layer.image, &corner, y, x, share.channel);
      __global const uchar *from = arena + PLACE(layer.source) + at;
      const int8 bytes = load_bytes(from, share.count, layer.image.stride % 8 == 0);
      const uint tap = row * layer.columns + column;
      const int8 factors = convert_int8(vload8(0, weights + tap * row_bytes + share.channel));
      sums += (bytes - layer.zero) * factors;
    }
  }
  finish_pixel(memory, &layer.finish, share.channel, share.pixel, share.channel, share.count,
               as_uint8(sums));
}

KERNEL pooling(ARGUMENTS, const Pooling layer) {
  const Memory memory = MEMORY;
  const Share share = share_out(layer.image.pixels, layer.finish.channels);
  if (!share.count) return;
  const Corner corner = find_corner(&layer.image, share.pixel);
  int8 found = layer.largest ? -layer.zero : 0;
  for (int row = 0; row < layer.rows; ++row) {
    for (int column = 0; column < layer.columns; ++column) {
      const int y = row * layer.dilation_y, x = column * layer.dilation_x;
      if (!is_inside(&layer.image, corner.y + y, corner.x + x)) continue;
      const ulong at = find_channel(&layer.image, &corner, y, x, share.channel);
      __global const uchar *from = arena + PLACE(layer.source) + at;
      const int8 bytes = load_bytes(from, share.count, layer.image.stride % 8 == 0);
      const int8 values = bytes - layer.zero;
      found = layer.largest ? max(found, values) : found + values;
    }
  }
  finish_pixel(memory, &layer.finish, share.channel, share.pixel, share.channel, share.count,
               as_uint8(found));
}

int8 look_up(__global const uchar *table, int8 bytes) {
  int each[8];
  vstore8(bytes, 0, each);
  for (uint i = 0; i < 8; ++i) each[i] = table[each[i]];
  return vload8(0, each);
}

KERNEL mapping(ARGUMENTS, const Mapping layer) {
  const Memory memory = MEMORY;
  const Share share = share_out(layer.pixels, layer.finish.channels);
  if (!share.count) return;
  const ulong at = PLACE(layer.source) + (ulong)share.pixel * layer.stride + share.channel;
  int8 values = load_bytes(arena + at, share.count, layer.stride % 8 == 0);
  if (layer.table) values = look_up(constants + PLACE(layer.table), values);
  finish_pixel(memory, &layer.finish, share.channel, share.pixel, share.channel, share.count,
               as_uint8(values - layer.zero));
}

/* Between words and bytes. Neighbouring lanes have neighbouring pixels: so words lie. */
typedef struct {
  ulong bytes, words;
  uint count;
} Pair;

Pair pair_up(const Conversion *layer) {
  const uint eights = (layer->channels + 7) / 8;
  const ulong number = get_global_id(0), row = number / layer->plane;
  const ulong place = number % layer->plane, image = row / eights;
  const uint first = 8 * (uint)(row % eights);
  const ulong pixel = image * layer->plane + place;
  const ulong word = (image * layer->channels + first) * layer->plane + place;
  const Pair found = {
      PLACE(layer->bytes) + pixel * layer->stride + first,
      PLACE(layer->words) + 4 * word,
      image < layer->images ? min(8u, layer->channels - first) : 0,
  };
  return found;
}

KERNEL to_bytes(ARGUMENTS, const Conversion layer) {
  const Pair pair = pair_up(&layer);
  __global const int *from = (__global const int *)(arena + pair.words);
  int values[8];
  for (uint i = 0; i < 8; ++i) values[i] = i < pair.count ? from[(ulong)i * layer.plane] : 0;
  const int8 bytes = vload8(0, values) + layer.zero;
  store_bytes(arena + pair.bytes, bytes, pair.count, layer.stride % 8 == 0);
}

KERNEL to_words(ARGUMENTS, const Conversion layer) {
  const Pair pair = pair_up(&layer);
  if (!pair.count) return;
  const int8 bytes = load_bytes(arena + pair.bytes, pair.count, layer.stride % 8 == 0);
  __global int *to = (__global int *)(arena + pair.words);
  store_words(to, bytes - layer.zero, pair.count, layer.plane);
}
