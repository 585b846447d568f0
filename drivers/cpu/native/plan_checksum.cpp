#include <cstring>

#include "plan.hpp"

namespace farmcpu {
namespace {

// One build an instruction set, of which the best is taken when the library is loaded.
#if defined(__x86_64__) && defined(__gnu_linux__)
#define FARMCPU_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FARMCPU_CLONES
#endif

constexpr std::size_t kLanes = 16;

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93;
  return x ^ x >> 32;
}

struct Lanes {
  std::uint64_t sum[kLanes], sums[kLanes];
};

// Each lane keeps a sum and the sum of its sums, so that moved words show.
FARMCPU_CLONES void add_blocks(Lanes &lanes, const std::uint8_t *bytes, std::size_t blocks) {
  Lanes here = lanes;
  for (; blocks--; bytes += sizeof here.sum) {
    std::uint64_t words[kLanes];
    std::memcpy(words, bytes, sizeof words);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      here.sum[lane] += words[lane];
      here.sums[lane] += here.sum[lane];
    }
  }
  lanes = here;
}

}  // namespace

std::uint64_t checksum_of(const std::uint8_t *bytes, std::size_t count) {
  Lanes lanes{};
  const std::size_t blocks = count / sizeof lanes.sum;
  add_blocks(lanes, bytes, blocks);
  std::size_t at = blocks * sizeof lanes.sum;
  std::uint64_t whole = count;
  for (; at < count; ++at) whole = mix(whole + bytes[at]);
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    whole = mix(mix(whole + lanes.sum[lane]) + lanes.sums[lane]);
  return whole;
}

}  // namespace farmcpu
