// The inference kernels as a library for the host: what the tests run where there is no GPU.
// INFER_TARGET says which GPU's instructions are emulated.
#define INFER_HOST 1
#include <cstring>

#include "infer.cu"

namespace {

template <typename Record>
bool run(const char *name, const char *wanted, void (*kernel)(Record), const void *record,
         const lanes::Launch &launch) {
  if (std::strcmp(name, wanted) != 0) return false;
  Record layer;
  std::memcpy(&layer, record, sizeof layer);
  lanes::launch(launch, [&] { kernel(layer); });
  return true;
}

}  // namespace

// Returns 0, or 1 if there is no such kernel.
extern "C" int infer_host_launch(const char *name, const void *record, const u32 groups[3],
                                 u32 lanes, u32 shared_bytes, u32 backwards) {
  const lanes::Launch launch{groups[0], groups[1],    groups[2],
                             lanes,     shared_bytes, backwards != 0};
  const bool found = run("convolve_big", name, convolve_big, record, launch) ||
                     run("convolve_tall", name, convolve_tall, record, launch) ||
                     run("convolve_small", name, convolve_small, record, launch) ||
                     run("convolve_first", name, convolve_first, record, launch) ||
                     run("dense", name, dense, record, launch) ||
                     run("depthwise", name, depthwise, record, launch) ||
                     run("pooling", name, pooling, record, launch) ||
                     run("mapping", name, mapping, record, launch) ||
                     run("to_bytes", name, to_bytes, record, launch) ||
                     run("to_words", name, to_words, record, launch) ||
                     run("tell_target", name, tell_target, record, launch);
  return found ? 0 : 1;
}

extern "C" void infer_host_sizes(u32 sizes[8]) {
  const u32 found[] = {sizeof(Finish),  sizeof(Image),   sizeof(Tap),     sizeof(Convolution),
                       sizeof(Depthwise), sizeof(Pooling), sizeof(Mapping), sizeof(Conversion)};
  std::memcpy(sizes, found, sizeof found);
}

// Lanes, and bytes of shared memory, of the tiles: big, tall, small.
extern "C" void infer_host_tiles(u32 tiles[6]) {
  const u32 found[] = {BigTile::kLanes,  kStages * BigTile::kBytes,  TallTile::kLanes,
                       kStages * TallTile::kBytes, SmallTile::kLanes, kStages * SmallTile::kBytes};
  std::memcpy(tiles, found, sizeof found);
}
