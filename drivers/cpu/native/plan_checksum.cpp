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

// Four streams side by side keep more of the memory busy than one.
constexpr std::size_t kStreams = 4, kLanes = 8, kBlockBytes = kLanes * sizeof(std::uint64_t);

struct Lanes {
  std::uint64_t sum[kStreams][kLanes], sums[kStreams][kLanes];
};

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93;
  return x ^ x >> 32;
}

// Each lane keeps a sum and the sum of its sums, so that moved words show.
FARMCPU_CLONES void add_blocks(Lanes &lanes, const std::uint8_t *bytes, std::size_t blocks) {
  Lanes here = lanes;
  for (std::size_t block = 0; block < blocks; ++block)
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      std::uint64_t words[kLanes];
      std::memcpy(words, bytes + (stream * blocks + block) * kBlockBytes, sizeof words);
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        here.sum[stream][lane] += words[lane];
        here.sums[stream][lane] += here.sum[stream][lane];
      }
    }
  lanes = here;
}

}  // namespace

std::uint64_t checksum_of(const std::uint8_t *bytes, std::size_t count) {
  Lanes lanes{};
  const std::size_t blocks = count / (kStreams * kBlockBytes);
  add_blocks(lanes, bytes, blocks);
  std::uint64_t whole = count;
  for (std::size_t at = blocks * kStreams * kBlockBytes; at < count; ++at)
    whole = mix(whole + bytes[at]);
  for (std::size_t stream = 0; stream < kStreams; ++stream)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      whole = mix(mix(whole + lanes.sum[stream][lane]) + lanes.sums[stream][lane]);
  return whole;
}

}  // namespace farmcpu
