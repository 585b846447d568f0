// The inner loops of the bucket-sorting solver, built once per instruction set.
#pragma once

#include "farmcpu.h"
#include "mean_lists.hpp"

namespace farmcpu {

// One thread's memory for the bucket at hand.
struct MeanScratch {
  std::uint8_t *counters;  // a byte a key at most, aligned to 64
  std::uint32_t keys;      // keys in use are below
  std::uint64_t *kept;     // edges of one chunk and 16 more
  std::uint32_t *names;    // a word a key
};

struct MeanKernels {
  // Hash the edges first ... last-1, whole groups of kMeanGroupEdges, into lists sorted by u.
  void (*generate)(const farmcpu_graph &graph, const MeanShape &shape, std::uint64_t first,
                   std::uint64_t last, const MeanLists &lists);
  // One bucket of a round: of the edges in the lists `from` (several threads'), those that meet
  // another at their near node go to `to`, sorted by their far one. Returns how many.
  std::uint64_t (*trim)(const MeanShape &shape, const MeanScratch &scratch,
                        const MeanLists *from, std::uint32_t threads, std::uint32_t bucket,
                        const MeanLists &to);
  // The same, and keys of near nodes are replaced by names: 0, 1, 2 ... in Cuckaroo; in Cuckatoo
  // two keys that meet have a name together, followed by their lowest bit. keys[name] is an old
  // key of the name; *named counts them. `keys` has room for all keys there are.
  std::uint64_t (*trim_and_name)(const MeanShape &shape, const MeanScratch &scratch,
                                 const MeanLists *from, std::uint32_t threads,
                                 std::uint32_t bucket, const MeanLists &to, std::uint32_t *keys,
                                 std::uint32_t *named);
};

inline constexpr std::uint64_t kMeanGroupEdges = 1024;
// Up to so many keys a byte each is quicker than two bits each.
inline constexpr std::uint32_t kMostByteKeys = 1u << 18;

// For the instruction set of kernels().
const MeanKernels &mean_kernels();

}  // namespace farmcpu
