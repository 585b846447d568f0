#include <cstring>

#include "plan.hpp"

namespace farmcpu {
namespace {

constexpr std::size_t kLanes = 8;

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93;
  return x ^ x >> 32;
}

}  // namespace

// Each lane keeps a sum and the sum of its sums, so that moved words show.
std::uint64_t checksum_of(const std::uint8_t *bytes, std::size_t count) {
  std::uint64_t sum[kLanes] = {}, sums[kLanes] = {}, words[kLanes];
  std::size_t at = 0;
  for (; at + sizeof words <= count; at += sizeof words) {
    std::memcpy(words, bytes + at, sizeof words);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sum[lane] += words[lane];
      sums[lane] += sum[lane];
    }
  }
  std::uint64_t whole = count;
  for (; at < count; ++at) whole = mix(whole + bytes[at]);
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    whole = mix(mix(whole + sum[lane]) + sums[lane]);
  return whole;
}

}  // namespace farmcpu
