// Sets of nodes for the lean solver: how often each was seen, and which of them edges can meet at.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace farmcpu {

// Never, once, or more often: five nodes in a byte, as digits to the base of 3. A bit less than
// 2 bits a node counts: it is what keeps 2^30 edges below 600 MB.
struct TimesSeen {
  static constexpr std::uint32_t kSliceBits = 20;

  static constexpr std::size_t slice_bytes(std::uint32_t node_bits) {
    return (((std::size_t{1} << node_bits) + 4) / 5 + 63) / 64 * 64;
  }

  static void count(std::uint8_t *slice, std::uint32_t node) {
    // A division by 5, exact below 2^22.
    const std::uint32_t at = static_cast<std::uint32_t>(std::uint64_t{node} * 838861 >> 22);
    slice[at] = kOneMore[node - 5 * at][slice[at]];
  }

  // Bits of the nodes that were seen at least twice.
  static void finish(const std::uint8_t *slice, std::uint32_t node_bits, std::uint8_t *bits) {
    const std::uint8_t *const end = bits + (std::size_t{1} << node_bits) / 8;
    std::uint64_t waiting = 0;
    for (std::uint32_t fill = 0; bits < end; ++slice) {
      waiting |= std::uint64_t{kTwice[*slice]} << fill;
      if ((fill += 5) < 32) continue;
      const std::size_t some = std::min<std::size_t>(4, end - bits);
      std::memcpy(bits, &waiting, some);
      bits += some;
      waiting >>= 32;
      fill -= 32;
    }
  }

 private:
  static constexpr std::uint32_t kStates = 243, kPowers[5] = {1, 3, 9, 27, 81};

  static constexpr auto kOneMore = [] {
    std::array<std::array<std::uint8_t, 256>, 5> next{};
    for (std::uint32_t digit = 0; digit < 5; ++digit)
      for (std::uint32_t state = 0; state < kStates; ++state)
        next[digit][state] = static_cast<std::uint8_t>(
            state + (state / kPowers[digit] % 3 < 2 ? kPowers[digit] : 0));
    return next;
  }();

  static constexpr auto kTwice = [] {
    std::array<std::uint8_t, 256> twice{};
    for (std::uint32_t state = 0; state < kStates; ++state)
      for (std::uint32_t digit = 0; digit < 5; ++digit)
        twice[state] |= (state / kPowers[digit] % 3 == 2) << digit;
    return twice;
  }();
};

// Cuckatoo: a node is there or not, and edges meet where its partner is.
struct Seen {
  static constexpr std::uint32_t kSliceBits = 21;

  static constexpr std::size_t slice_bytes(std::uint32_t node_bits) {
    return ((std::size_t{1} << node_bits) / 8 + 63) / 64 * 64;
  }

  static void count(std::uint8_t *slice, std::uint32_t node) {
    slice[node / 8] |= static_cast<std::uint8_t>(1 << node % 8);
  }

  // Bits of the nodes whose partners were seen.
  static void finish(const std::uint8_t *slice, std::uint32_t node_bits, std::uint8_t *bits) {
    for (std::size_t i = 0; i < (std::size_t{1} << node_bits) / 8; ++i)
      bits[i] = static_cast<std::uint8_t>((slice[i] & 0x55) << 1 | (slice[i] >> 1 & 0x55));
  }
};

}  // namespace farmcpu
