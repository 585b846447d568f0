// Winograd's transforms F(4×4, 3×3) in integers: infer_winograd.hpp says why they are exact. Built
// once per instruction set: see isa_kernels.cpp.
#include "infer_multiply.hpp"
#include "infer_tiles.hpp"
#include "infer_vector.hpp"

namespace farmcpu::infer::FARMCPU_ISA {
namespace {

constexpr uint32_t kHalves = 2 * kLanes;

// Six of the source to six of the products.
[[gnu::always_inline]] inline void transform_in(const Halves *in, Halves *out, uint32_t apart) {
  const Halves even = in[4] - in[2], odd = (in[3] - in[1]) << 1;
  const Halves left = in[4] - (in[2] << 2), right = in[3] - (in[1] << 2);
  out[0] = ((in[0] - in[2]) << 2) + even;
  out[apart] = left + right;
  out[2 * apart] = left - right;
  out[3 * apart] = even + odd;
  out[4 * apart] = even - odd;
  out[5 * apart] = in[5] - in[3] - (odd << 1);
}

// Six of the products to four of the target, 24 times too large.
[[gnu::always_inline]] inline void transform_out(const Words *in, uint32_t apart, Words *out) {
  const Words near_sum = in[apart] + in[2 * apart], near = (in[2 * apart] - in[apart]) << 2;
  const Words far_sum = in[3 * apart] + in[4 * apart], far = in[3 * apart] - in[4 * apart];
  const Words four = near_sum << 2;
  out[0] = in[0] + far_sum - four;
  out[1] = near + (far << 1);
  out[2] = (far_sum << 2) - four;
  out[3] = near + ((far + in[5 * apart]) << 3);
}

// 576 y to y, for |y| < 2^25: 9 has an inverse modulo 2^32, and 64 is shifted out.
[[gnu::always_inline]] inline Words divide(Words x) {
  return (x * fill(0x38E38E39)) >> 6;
}

template <Style style, bool joins>
[[gnu::always_inline]] inline void write_pixel(Words y, const TileTarget &tile,
                                               const Finisher<style, joins> &finisher,
                                               size_t pixel, uint32_t channel) {
  const uint8_t *other = joins ? tile.other + pixel * tile.other_stride + channel : nullptr;
  const Words x = finisher.compute(divide(y) + load(tile.bias + channel),
                                   tile.multiplier + channel, tile.offset + channel, other);
  finisher.template store_row<1>(&x, tile.target + pixel * tile.target_stride + channel,
                                 tile.channels - channel);
}

template <Style style, bool joins>
void write_tile(const TileTarget &tile) {
  const Finisher<style, joins> finisher(*tile.finish);
  for (uint32_t c = 0; c < tile.channels; c += kLanes) {
    Words half[4 * kTileSide];  // (column, row of the target)
#pragma GCC unroll 6
    for (uint32_t column = 0; column < kTileSide; ++column) {
      Words in[kTileSide];
#pragma GCC unroll 6
      for (uint32_t row = 0; row < kTileSide; ++row)
        in[row] = load(tile.sums + (row * kTileSide + column) * tile.position_stride + c);
      transform_out(in, 1, half + column * 4);
    }
    for (uint32_t row = 0; row < tile.rows; ++row) {
      Words out[4];
      transform_out(half + row, 4, out);
#pragma GCC unroll 4
      for (uint32_t column = 0; column < 4; ++column)
        if (column < tile.columns)
          write_pixel(out[column], tile, finisher, row * tile.row_pixels + column, c);
    }
  }
}

void tile_in(const TileSource &tile) {
  for (uint32_t c = 0; c < tile.channels; c += kHalves) {
    Halves half[kTilePositions];  // (row of the products, column)
#pragma GCC unroll 6
    for (uint32_t column = 0; column < kTileSide; ++column) {
      Halves in[kTileSide];
#pragma GCC unroll 6
      for (uint32_t row = 0; row < kTileSide; ++row)
        in[row] = widen_halves(tile.pixels[row * kTileSide + column] + c) - tile.zero;
      transform_in(in, half + column, kTileSide);
    }
#pragma GCC unroll 6
    for (uint32_t row = 0; row < kTileSide; ++row) {
      Halves out[kTileSide];
      transform_in(half + row * kTileSide, out, 1);
#pragma GCC unroll 6
      for (uint32_t column = 0; column < kTileSide; ++column)
        store(tile.to + (row * kTileSide + column) * tile.position_stride + c, out[column]);
    }
  }
}

void tile_out(const TileTarget &tile) {
  choose_style(*tile.finish, [&](auto how) { write_tile<how.style, how.joins>(tile); });
}

}  // namespace

extern const TileKernels tile_table;
const TileKernels tile_table = {tile_in, tile_out};

}  // namespace farmcpu::infer::FARMCPU_ISA
