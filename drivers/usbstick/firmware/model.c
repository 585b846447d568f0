/* Models: a list of layers over one arena of 32-bit numbers, with the arithmetic of the Cortex
 * Virtual Machine to the bit. The image is described in docs/usb-stick-protocol.md. Everything in
 * it is checked before it is used: whatever a host sends, no layer leaves the arena. */
#include "stick.h"

enum { HEADER_BYTES = 24, HEAD_BYTES = 8, LAYER_WORDS = 20, LAYER_BYTES = 4 * LAYER_WORDS };
enum { MAGIC = 0x314D5346, NONE = 0xffffffffu, MOST_SIDE = 4096 };
enum layer_kind { CONV2D = 1, DENSE, RELU, RIGHT_SHIFT, CLIP, MAX_POOL2D, ADD, SUBTRACT };

static int32_t arena[ARENA_WORDS];
static const uint8_t *heads, *layers, *parameters;
static uint32_t input_words, head_count, layer_count, arena_words, parameter_bytes;
static uint8_t is_loaded;

struct layer {
  enum layer_kind kind;
  uint32_t a, b, out;  /* offsets in the arena */
  uint32_t n[16];      /* numbers of its own, by kind */
};

static struct layer layer_at(uint32_t index) {
  const uint8_t *p = layers + index * LAYER_BYTES;
  struct layer layer = {(enum layer_kind)read32(p), read32(p + 4), read32(p + 8), read32(p + 12), {0}};
  for (uint32_t i = 0; i < 16; ++i) layer.n[i] = read32(p + 16 + 4 * i);
  return layer;
}

/* Products of sizes that stay below 2^32, or NONE. */
static uint32_t times(uint32_t a, uint32_t b) {
  const uint64_t product = (uint64_t)a * b;
  return a == NONE || b == NONE || product >= NONE ? NONE : (uint32_t)product;
}
static int in_arena(uint32_t offset, uint32_t words) {
  return words != NONE && (uint64_t)offset + words <= arena_words;
}
static int in_parameters(uint32_t offset, uint32_t bytes) {
  return bytes != NONE && (uint64_t)offset + bytes <= parameter_bytes;
}
static int are_sides(const uint32_t *numbers, uint32_t count, uint32_t least) {
  for (uint32_t i = 0; i < count; ++i)
    if (numbers[i] < least || numbers[i] > MOST_SIDE) return 0;
  return 1;
}

/* A window over planes: channels, height, width, kernel (2), stride (2), padding (2), dilation
 * (2), rounds up. */
struct window {
  uint32_t c, h, w, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow;
};

static int read_window(const uint32_t *n, uint32_t rounds_up, struct window *win) {
  *win = (struct window){n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], 0, 0};
  if (!are_sides(n, 7, 1) || !are_sides(n + 7, 2, 0) || !are_sides(n + 9, 2, 1)) return 0;
  const uint32_t span_h = win->dh * (win->kh - 1) + 1, span_w = win->dw * (win->kw - 1) + 1;
  const uint32_t room_h = win->h + 2 * win->ph, room_w = win->w + 2 * win->pw;
  if (span_h > room_h || span_w > room_w) return 0;
  win->oh = (room_h - span_h + (rounds_up ? win->sh - 1 : 0)) / win->sh + 1;
  win->ow = (room_w - span_w + (rounds_up ? win->sw - 1 : 0)) / win->sw + 1;
  return 1;
}

/* conv2d: n = window (11 numbers), output channels, groups, weights, bias; one image. */
static int check_convolution(const struct layer *l) {
  struct window win;
  const uint32_t outs = l->n[11], groups = l->n[12];
  if (!read_window(l->n, 0, &win) || !are_sides(l->n + 11, 2, 1)) return 0;
  if (win.c % groups || outs % groups) return 0;
  const uint32_t weights = times(times(outs, win.c / groups), times(win.kh, win.kw));
  return in_arena(l->a, times(win.c, times(win.h, win.w))) &&
         in_arena(l->out, times(outs, times(win.oh, win.ow))) && in_parameters(l->n[13], weights) &&
         (l->n[14] == NONE || in_parameters(l->n[14], times(outs, 4)));
}

/* dense: n = rows, inputs, units, weights, bias. */
static int check_dense(const struct layer *l) {
  const uint32_t rows = l->n[0], inputs = l->n[1], units = l->n[2];
  return rows && inputs && units && in_arena(l->a, times(rows, inputs)) &&
         in_arena(l->out, times(rows, units)) && in_parameters(l->n[3], times(units, inputs)) &&
         (l->n[4] == NONE || in_parameters(l->n[4], times(units, 4)));
}

static int check_pool(const struct layer *l) {
  struct window win;
  return read_window(l->n, l->n[11], &win) && in_arena(l->a, times(win.c, times(win.h, win.w))) &&
         in_arena(l->out, times(win.c, times(win.oh, win.ow)));
}

/* The rest go number by number: n = words, and what the kind needs. */
static int check_each(const struct layer *l) {
  const int has_two = l->kind == ADD || l->kind == SUBTRACT;
  const int has_precision = l->kind == RIGHT_SHIFT || l->kind == CLIP;
  return l->n[0] && in_arena(l->a, l->n[0]) && in_arena(l->out, l->n[0]) &&
         (!has_two || in_arena(l->b, l->n[0])) &&
         (!has_precision || (l->n[1] >= 1 && l->n[1] <= 32)) &&
         (l->kind != RIGHT_SHIFT || (l->n[2] >= 1 && l->n[2] <= 32));
}

static int check_layer(const struct layer *l) {
  switch (l->kind) {
    case CONV2D: return check_convolution(l);
    case DENSE: return check_dense(l);
    case MAX_POOL2D: return check_pool(l);
    case RELU: case RIGHT_SHIFT: case CLIP: case ADD: case SUBTRACT: return check_each(l);
  }
  return 0;
}

void model_drop(void) { is_loaded = 0; }

enum error model_load(const uint8_t *image, uint32_t length) {
  is_loaded = 0;
  if (length < HEADER_BYTES || read32(image) != MAGIC) return BAD_MODEL;
  input_words = read32(image + 4);
  head_count = read32(image + 8);
  layer_count = read32(image + 12);
  arena_words = read32(image + 16);
  parameter_bytes = read32(image + 20);
  if (arena_words > ARENA_WORDS) return TOO_LARGE;
  const uint64_t expected = HEADER_BYTES + (uint64_t)HEAD_BYTES * head_count +
                            (uint64_t)LAYER_BYTES * layer_count + parameter_bytes;
  if (expected != length || !head_count || !input_words) return BAD_MODEL;
  heads = image + HEADER_BYTES;
  layers = heads + HEAD_BYTES * head_count;
  parameters = layers + LAYER_BYTES * layer_count;
  if (!in_arena(0, input_words)) return BAD_MODEL;
  for (uint32_t i = 0; i < head_count; ++i)
    if (!in_arena(read32(heads + HEAD_BYTES * i), read32(heads + HEAD_BYTES * i + 4)))
      return BAD_MODEL;
  for (uint32_t i = 0; i < layer_count; ++i) {
    const struct layer layer = layer_at(i);
    if (!check_layer(&layer)) return BAD_MODEL;
  }
  is_loaded = 1;
  return OK;
}

/* Sums wrap as the CVM's do: unsigned, so that C has no say in it. */
static int32_t weight_at(uint32_t offset) { return (int8_t)parameters[offset]; }
static uint32_t bias_at(uint32_t offset, uint32_t index) {
  return offset == NONE ? 0 : read32(parameters + offset + 4 * index);
}

static uint32_t convolve_one(const struct layer *l, const struct window *win, uint32_t channel,
                             uint32_t row, uint32_t column) {
  const uint32_t inputs = win->c / l->n[12], outs = l->n[11] / l->n[12];
  const uint32_t first = channel / outs * inputs;
  uint32_t weight = l->n[13] + channel * inputs * win->kh * win->kw;
  uint32_t sum = bias_at(l->n[14], channel);
  for (uint32_t c = 0; c < inputs; ++c)
    for (uint32_t i = 0; i < win->kh; ++i)
      for (uint32_t j = 0; j < win->kw; ++j, ++weight) {
        const uint32_t y = row * win->sh + i * win->dh - win->ph;
        const uint32_t x = column * win->sw + j * win->dw - win->pw;
        if (y < win->h && x < win->w)
          sum += (uint32_t)arena[l->a + ((first + c) * win->h + y) * win->w + x] *
                 (uint32_t)weight_at(weight);
      }
  return sum;
}

static int convolve(const struct layer *l) {
  struct window win;
  read_window(l->n, 0, &win);
  int32_t *to = arena + l->out;
  for (uint32_t o = 0; o < l->n[11]; ++o)
    for (uint32_t r = 0; r < win.oh; ++r) {
      if (stick_is_cancelled()) return 0;
      for (uint32_t c = 0; c < win.ow; ++c) *to++ = (int32_t)convolve_one(l, &win, o, r, c);
    }
  return 1;
}

static int multiply(const struct layer *l) {
  const uint32_t inputs = l->n[1], units = l->n[2];
  int32_t *to = arena + l->out;
  for (uint32_t r = 0; r < l->n[0]; ++r)
    for (uint32_t u = 0; u < units; ++u) {
      if (stick_is_cancelled()) return 0;
      uint32_t sum = bias_at(l->n[4], u);
      for (uint32_t k = 0; k < inputs; ++k)
        sum += (uint32_t)arena[l->a + r * inputs + k] * (uint32_t)weight_at(l->n[3] + u * inputs + k);
      *to++ = (int32_t)sum;
    }
  return 1;
}

static int32_t pool_one(const struct window *win, const int32_t *plane, uint32_t row, uint32_t column) {
  int32_t highest = INT32_MIN;
  for (uint32_t i = 0; i < win->kh; ++i)
    for (uint32_t j = 0; j < win->kw; ++j) {
      const uint32_t y = row * win->sh + i - win->ph, x = column * win->sw + j - win->pw;
      if (y < win->h && x < win->w && plane[y * win->w + x] > highest) highest = plane[y * win->w + x];
    }
  return highest;
}

static int pool(const struct layer *l) {
  struct window win;
  read_window(l->n, l->n[11], &win);
  int32_t *to = arena + l->out;
  for (uint32_t c = 0; c < win.c; ++c)
    for (uint32_t r = 0; r < win.oh; ++r) {
      if (stick_is_cancelled()) return 0;
      for (uint32_t x = 0; x < win.ow; ++x)
        *to++ = pool_one(&win, arena + l->a + c * win.h * win.w, r, x);
    }
  return 1;
}

static int32_t clamp(int32_t x, uint32_t precision) {
  const int32_t bound = (int32_t)(((uint32_t)1 << (precision - 1)) - 1);
  return x < -bound ? -bound : x > bound ? bound : x;
}

/* Halves go up. The official runtime's corners are kept: a shift of 31 or more leaves the sign,
 * and there is no clip where precision and shift together reach 32. */
static int32_t shift(int32_t x, uint32_t precision, uint32_t bits) {
  if (precision == 1) return 0;
  if (bits >= 31) return x >> 31;
  const int32_t halved = (int32_t)((uint32_t)(x >> (bits - 1)) + 1) >> 1;
  return precision + bits >= 32 ? halved : clamp(halved, precision);
}

static int32_t one(const struct layer *l, uint32_t i) {
  const int32_t x = arena[l->a + i];
  switch (l->kind) {
    case RELU: return x > 0 ? x : 0;
    case RIGHT_SHIFT: return shift(x, l->n[1], l->n[2]);
    case CLIP: return clamp(x, l->n[1]);
    case ADD: return (int32_t)((uint32_t)x + (uint32_t)arena[l->b + i]);
    default: return (int32_t)((uint32_t)x - (uint32_t)arena[l->b + i]);
  }
}

static int each(const struct layer *l) {
  for (uint32_t i = 0; i < l->n[0]; ++i) arena[l->out + i] = one(l, i);
  return !stick_is_cancelled();
}

static int run_layer(const struct layer *l) {
  switch (l->kind) {
    case CONV2D: return convolve(l);
    case DENSE: return multiply(l);
    case MAX_POOL2D: return pool(l);
    default: return each(l);
  }
}

enum error model_run(void) {
  if (!is_loaded) return NO_MODEL;
  for (uint32_t i = 0; i < layer_count; ++i) {
    const struct layer layer = layer_at(i);
    if (!run_layer(&layer)) return CANCELLED;
  }
  return OK;
}

int32_t *model_input(uint32_t *words) {
  *words = is_loaded ? input_words : 0;
  return arena;
}

uint32_t model_output_words(void) {
  uint32_t words = 0;
  for (uint32_t i = 0; is_loaded && i < head_count; ++i) words += read32(heads + HEAD_BYTES * i + 4);
  return words;
}

int32_t model_output(uint32_t word) {
  for (uint32_t i = 0; i < head_count; ++i) {
    const uint32_t words = read32(heads + HEAD_BYTES * i + 4);
    if (word < words) return arena[read32(heads + HEAD_BYTES * i) + word];
    word -= words;
  }
  return 0;
}
