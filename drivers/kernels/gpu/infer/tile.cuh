/* How a group's lanes share a tile of sums, and what multiplies it.
 *
 * A warp has `kWarpRows` pixels by `kWarpColumns` channels of the tile. Each of its lanes has,
 * of every 32 channels, eight neighbours; weights are packed in the order that makes it so:
 * row 8p + 2t + i of 32 is channel 8t + 2p + i (matrix cores of AMD: 16p + 4t + i and 8t + 4p + i).
 */
#ifndef INFER_TILE_CUH
#define INFER_TILE_CUH

#include "language.cuh"
#if defined(INFER_HOST)
#include "lanes_matrix.hpp"
#endif

#if INFER_TARGET == TARGET_MFMA
constexpr int kWarp = 64, kRowStep = 16;
DEVICE u32 row_of_lane() { return LANE % 16; }
DEVICE u32 eight_of_lane() { return LANE % 64 / 16; }
#else
constexpr int kWarp = 32, kRowStep = 8;
DEVICE u32 row_of_lane() { return LANE % 32 / 4; }
DEVICE u32 eight_of_lane() { return LANE % 4; }
#endif

/* Bytes of a row of the tile in shared memory at a time, and how many such are in flight. */
constexpr int kDepth = INFER_TARGET == TARGET_WGMMA ? 128 : 64;
constexpr int kChunks = kDepth / 16;
constexpr int kStages = !COPIES_ASIDE ? 2 : INFER_TARGET == TARGET_WGMMA ? 3 : 4;

/* Rows are swizzled by chunks of 16 bytes: eight neighbouring rows lie in different banks. */
DEVICE u32 place_in_stage(u32 row, u32 chunk) {
  const u32 swizzle = kChunks == 8 ? row & 7 : row >> 1 & 3;
  return row * kDepth + ((chunk ^ swizzle) << 4);
}

template <int kRowsOf, int kColumnsOf, int kWarpRowsOf, int kWarpColumnsOf>
struct Tile {
  static constexpr int kRows = kRowsOf, kColumns = kColumnsOf;
  static constexpr int kWarpRows = kWarpRowsOf, kWarpColumns = kWarpColumnsOf;
  static constexpr int kWarpsAcross = kColumns / kWarpColumns;
  static constexpr int kLanes = kRows / kWarpRows * kWarpsAcross * kWarp;
  static constexpr int kBytes = (kRows + kColumns) * kDepth; /* of a stage */
  static constexpr int kSteps = kWarpRows / kRowStep, kBlocks = kWarpColumns / 32;

  /* Step s of block b: eight channels of one pixel. */
  struct Sums {
    i32 at[kSteps][kBlocks][8];
  };

  static DEVICE_MEMBER u32 first_row() { return LANE / kWarp / kWarpsAcross * kWarpRows; }
  static DEVICE_MEMBER u32 first_column() { return LANE / kWarp % kWarpsAcross * kWarpColumns; }
};

#endif
