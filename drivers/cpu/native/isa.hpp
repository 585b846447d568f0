// Kernels that are built once per instruction set, and the choice among them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace farmcpu {

// Blocks of 64 edges that one call of `siphash_blocks` hashes side by side.
inline constexpr std::size_t kLanes = 16;
inline constexpr std::size_t kBlockEdges = 64;

struct Kernels {
  const char *name;
  // Words of blocks first_edge/64 ... +kLanes-1: word i of block b is words[i * kLanes + b].
  void (*siphash_blocks)(const std::uint64_t keys[4], std::uint32_t compression_rounds,
                         std::uint32_t finalisation_rounds, std::uint64_t first_edge,
                         std::uint64_t *words);
  // The word of each input, which replaces it; count is a multiple of kLanes.
  void (*siphash_each)(const std::uint64_t keys[4], std::uint32_t compression_rounds,
                       std::uint32_t finalisation_rounds, std::uint64_t *words,
                       std::size_t count);
  // sums[i] += weight * values[i * stride], modulo 2^32.
  void (*multiply_add)(std::int32_t *sums, const std::int32_t *values, std::int32_t weight,
                       std::size_t count, std::size_t stride);
  // Sum of a[i] * b[i], modulo 2^32.
  std::int32_t (*dot)(const std::int32_t *a, const std::int32_t *b, std::size_t count);
};

// What the environment's FARMCPU_ISA names; null where it names nothing.
const char *forced_isa();

// The best set this machine runs, or the forced one if the machine runs it (the baseline if not,
// which drivers/cpu/library.py refuses); or the one that `use_isa` was last told.
const Kernels &kernels();

// From now on the named set; false if there is none of that name or this machine lacks it.
bool use_isa(const char *name);

}  // namespace farmcpu
