#include "siphash.hpp"

#include <bit>

namespace farmcpu {
namespace {

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  void rounds(std::uint32_t count) {
    while (count--) {
      v0 += v1;
      v2 += v3;
      v1 = std::rotl(v1, 13) ^ v0;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 = std::rotl(v0, 32);
      v2 += v1;
      v0 += v3;
      v1 = std::rotl(v1, 17) ^ v2;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 = std::rotl(v2, 32);
    }
  }
};

}  // namespace

void siphash_block(const farmcpu_graph &graph, std::uint64_t edge, std::uint64_t words[64]) {
  SipState s{graph.keys[0], graph.keys[1], graph.keys[2], graph.keys[3]};
  const std::uint64_t first = edge & ~std::uint64_t{63};
  for (std::uint64_t i = 0; i < 64; ++i) {
    s.v3 ^= first + i;
    s.rounds(graph.compression_rounds);
    s.v0 ^= first + i;
    s.v2 ^= 0xff;
    s.rounds(graph.finalisation_rounds);
    words[i] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
  }
  for (int i = 0; i < 63; ++i) words[i] ^= words[63];
}

}  // namespace farmcpu
