// Direct convolution's inner loops: a block of sums stays in registers from the bias to the byte.
// Built once per instruction set: see isa_kernels.cpp.
#include "infer_isa.hpp"
#include "infer_multiply.hpp"
#include "infer_vector.hpp"

namespace farmcpu::infer::FARMCPU_ISA {
namespace {

#if FARMCPU_VECTOR_BYTES == 64
constexpr uint32_t kVectors = 4;
#else
constexpr uint32_t kVectors = 2;
#endif

// Pixels of a block: with `vectors` for each the sums fill the registers, but for those that the
// weights and one repeated step take.
constexpr uint32_t most_pixels(uint32_t vectors) {
  if (FARMCPU_VECTOR_BYTES == 64) return vectors == 4 ? 6 : 8;
  return vectors == 2 ? 6 : 8;
}

struct Bytes {
  static Words sum(Words sum, Words a, Words b) { return dot(sum, a, b); }
};
struct Wide {
  static Words sum(Words sum, Words a, Words b) { return dot_halves(sum, a, b); }
};

template <uint32_t vectors, uint32_t pixels>
struct Block {
  Words sums[pixels][vectors];
  const uint8_t *sources[pixels];

  [[gnu::always_inline]] inline void begin(const Panel &panel, uint32_t first) {
#pragma GCC unroll 8
    for (uint32_t p = 0; p < pixels; ++p) {
      sources[p] = panel.source + panel.starts[first + p];
#pragma GCC unroll 4
      for (uint32_t v = 0; v < vectors; ++v)
        sums[p][v] = panel.bias ? load(panel.bias + v * kLanes) : Words{};
    }
  }

  template <typename Product>
  [[gnu::always_inline]] inline void step(const uint8_t *weights, size_t at) {
    Words weight[vectors];
#pragma GCC unroll 4
    for (uint32_t v = 0; v < vectors; ++v) weight[v] = load(weights + v * sizeof(Words));
#pragma GCC unroll 8
    for (uint32_t p = 0; p < pixels; ++p) {
      const Words values = repeat(sources[p] + at);
#pragma GCC unroll 4
      for (uint32_t v = 0; v < vectors; ++v)
        sums[p][v] = Product::sum(sums[p][v], values, weight[v]);
    }
  }

  // Fetches bytes that are wanted soon: those from `ahead` on, `pace` of them a step.
  template <typename Product>
  [[gnu::always_inline]] inline void multiply(const Panel &panel, const uint8_t *ahead,
                                              size_t pace) {
    const uint8_t *weights = panel.weights;
    for (uint32_t tap = 0; tap < panel.tap_count; ++tap) {
      const size_t from = panel.taps[tap];
      const size_t to = from + size_t{panel.tap_steps} * kStepBytes;
      for (size_t at = from; at < to; at += kStepBytes) {
        step<Product>(weights, at);
        weights += vectors * sizeof(Words);
        __builtin_prefetch(ahead);
        ahead += pace;
      }
    }
  }

  [[gnu::always_inline]] inline void store_sums(const Panel &panel, uint32_t first) {
#pragma GCC unroll 8
    for (uint32_t p = 0; p < pixels; ++p)
#pragma GCC unroll 4
      for (uint32_t v = 0; v < vectors; ++v)
        store(panel.sums + (first + p) * panel.sum_stride + v * kLanes, sums[p][v]);
  }

  template <Style style, bool joins>
  [[gnu::always_inline]] inline void finish(const Panel &panel, uint32_t first) {
    const Finisher<style, joins> finisher(*panel.finish);
    const uint8_t *other = joins ? panel.other + first * panel.other_stride : nullptr;
    // one channel's numbers serve all pixels: bytes written between would have them read anew
#pragma GCC unroll 4
    for (uint32_t v = 0; v < vectors; ++v)
#pragma GCC unroll 8
      for (uint32_t p = 0; p < pixels; ++p)
        sums[p][v] = finisher.compute(sums[p][v], panel.multiplier + v * kLanes,
                                      panel.offset + v * kLanes,
                                      other + p * panel.other_stride + v * kLanes);
    uint8_t *target = panel.target + first * panel.target_stride;
#pragma GCC unroll 8
    for (uint32_t p = 0; p < pixels; ++p)
      finisher.template store_row<vectors>(sums[p], target + p * panel.target_stride,
                                           panel.channels);
  }

  [[gnu::always_inline]] inline void finish(const Panel &panel, uint32_t first) {
    choose_style(*panel.finish, [&](auto how) {
      this->template finish<how.style, how.joins>(panel, first);
    });
  }
};

template <uint32_t vectors, uint32_t pixels>
void multiply_block(const Panel &panel, uint32_t first, const uint8_t *ahead, size_t pace) {
  Block<vectors, pixels> block;
  block.begin(panel, first);
  block.template multiply<Bytes>(panel, ahead, pace);
  if (panel.finish)
    block.finish(panel, first);
  else
    block.store_sums(panel, first);
}

template <uint32_t vectors, uint32_t pixels>
void multiply_block_wide(const Panel &panel, uint32_t first, const uint8_t *ahead, size_t pace) {
  Block<vectors, pixels> block;
  block.begin(panel, first);
  block.template multiply<Wide>(panel, ahead, pace);
  block.store_sums(panel, first);
}

// Lets the compiler not know what x is.
inline void keep(Words &x) {
#if defined(__x86_64__)
  asm volatile("" : "+v"(x));
#else
  asm volatile("" : "+m"(x));
#endif
}

using BlockOf = void (*)(const Panel &, uint32_t, const uint8_t *, size_t);

#define FARMCPU_ROW(kernel, vectors)                                                      \
  {kernel<vectors, 1>, kernel<vectors, 2>, kernel<vectors, 3>, kernel<vectors, 4>,        \
   kernel<vectors, 5>, kernel<vectors, 6>, kernel<vectors, most_pixels(vectors) - 1>,     \
   kernel<vectors, most_pixels(vectors)>}
#if FARMCPU_VECTOR_BYTES == 64
#define FARMCPU_ROWS(kernel) \
  {FARMCPU_ROW(kernel, 1), FARMCPU_ROW(kernel, 2), FARMCPU_ROW(kernel, 3), FARMCPU_ROW(kernel, 4)}
#else
#define FARMCPU_ROWS(kernel) {FARMCPU_ROW(kernel, 1), FARMCPU_ROW(kernel, 2)}
#endif
constexpr BlockOf kBlocks[kVectors][8] = FARMCPU_ROWS(multiply_block);
constexpr BlockOf kWideBlocks[kVectors][8] = FARMCPU_ROWS(multiply_block_wide);

// All pixels in blocks of nearly equal size.
void run_blocks(const Panel &panel, const BlockOf blocks[8]) {
  const uint32_t most = most_pixels(panel.vectors);
  const uint32_t count = (panel.pixels + most - 1) / most;
  const size_t slice = panel.next ? panel.next_bytes / count : 0;
  const size_t pace = slice / (size_t{panel.tap_count} * panel.tap_steps);
  for (uint32_t block = 0, first = 0; block < count; ++block) {
    const uint32_t pixels = (panel.pixels - first) / (count - block);
    const uint8_t *ahead = panel.next ? panel.next + block * slice : panel.weights;
    blocks[pixels - 1](panel, first, ahead, pace);
    first += pixels;
  }
}

}  // namespace

void multiply(const Panel &panel) { run_blocks(panel, kBlocks[panel.vectors - 1]); }

void multiply_wide(const Panel &panel) { run_blocks(panel, kWideBlocks[panel.vectors - 1]); }

void widen(const uint8_t *from, size_t count, int16_t *to) {
  for (size_t i = 0; i < count; ++i) to[i] = from[i];
}

// As many independent products as the registers hold, and nothing else: the machine's limit.
uint64_t multiply_registers(uint64_t steps) {
  constexpr uint32_t kSums = 8;
  Words sums[kSums] = {}, values = fill(1), weight = fill(2);
  for (uint32_t i = 0; i < kSums; ++i) keep(sums[i]);
  for (uint64_t step = 0; step < steps; ++step) {
    keep(values);
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kSums; ++i) sums[i] = dot(sums[i], values, weight);
  }
  for (uint32_t i = 0; i < kSums; ++i) keep(sums[i]);
  return steps * kSums * kLanes * (kStepBytes / kElementBytes);
}

}  // namespace farmcpu::infer::FARMCPU_ISA

#define FARMCPU_STRING_OF(x) #x
#define FARMCPU_STRING(x) FARMCPU_STRING_OF(x)

namespace farmcpu::infer::FARMCPU_ISA {

extern const RowKernels row_table;
extern const ChannelKernels channel_table;
extern const TileKernels tile_table;
extern const InferKernels infer_table;
const InferKernels infer_table = {
    FARMCPU_STRING(FARMCPU_ISA), kLanes, kElementBytes, kVectors, multiply, multiply_wide, widen,
    multiply_registers, &row_table, &channel_table, &tile_table,
};

}  // namespace farmcpu::infer::FARMCPU_ISA
