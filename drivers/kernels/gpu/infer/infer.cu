/* The kernels, by name. `layout.py` says with how many lanes and bytes they are launched. */
#include "dense.cuh"
#include "planes.cuh"

#if INFER_TARGET == TARGET_WGMMA
typedef Tile<128, 128, 16, 128> BigTile;
typedef Tile<128, 64, 16, 64> TallTile;
typedef Tile<64, 64, 16, 64> SmallTile;
#elif INFER_TARGET == TARGET_MFMA
typedef Tile<128, 128, 64, 64> BigTile;
typedef Tile<128, 64, 64, 64> TallTile;
typedef Tile<64, 64, 32, 64> SmallTile;
#else
typedef Tile<128, 128, 64, 32> BigTile;
typedef Tile<128, 64, 64, 32> TallTile;
typedef Tile<64, 64, 32, 32> SmallTile;
#endif

/* Groups that must be able to share a multiprocessor's registers. */
constexpr int kTallGroups = TallTile::kLanes == 256 ? 2 : 3;

#define CONVOLVE(name, tile, unit, groups)                      \
  KERNEL(tile::kLanes, groups) name(const Convolution layer) { \
    SHARED_MEMORY(shared);                                     \
    convolve<tile, unit>(layer, shared);                       \
  }
CONVOLVE(convolve_big, BigTile, 16, 2)
CONVOLVE(convolve_tall, TallTile, 16, kTallGroups)
CONVOLVE(convolve_small, SmallTile, 16, 4)
CONVOLVE(convolve_first, TallTile, 4, kTallGroups)

KERNEL(kDenseLanes, 4) dense(const Convolution layer) {
  SHARED_MEMORY(shared);
  multiply_dense(layer, (i32 *)shared);
}

constexpr u32 kPlaneLanes = 128;
KERNEL(kPlaneLanes, 4) depthwise(const Depthwise layer) { convolve_depthwise(layer); }
KERNEL(kPlaneLanes, 4) pooling(const Pooling layer) { pool(layer); }
KERNEL(kPlaneLanes, 4) mapping(const Mapping layer) { map_bytes(layer); }
KERNEL(kPlaneLanes, 4) to_bytes(const Conversion layer) { convert<true>(layer); }
KERNEL(kPlaneLanes, 4) to_words(const Conversion layer) { convert<false>(layer); }

KERNEL(1, 1) tell_target(const Told told) {
  told.target[0] = INFER_TARGET;
  told.target[1] = INFER_FLIPS;
}
