#include "cuckoo.hpp"

namespace farmcpu {

bool is_sound(const farmcpu_graph &graph) {
  const auto within = [](std::uint32_t x, std::uint32_t low, std::uint32_t high) {
    return low <= x && x <= high;
  };
  return within(graph.edge_bits, kMinEdgeBits, kMaxEdgeBits) &&
         within(graph.compression_rounds, 1, 16) && within(graph.finalisation_rounds, 1, 16) &&
         within(graph.proof_size, 2, kMaxProofSize) && graph.proof_size % 2 == 0 &&
         graph.cycle <= CUCKOO_CUCKATOO;
}

namespace {

// Walk the cycle: from an endpoint to the one that meets it, then along that edge.
// Endpoint 2i is u of edge i and 2i+1 its v, so a side is an index's parity.
farmcpu_proof walk(const std::uint32_t *ends, std::uint32_t size, std::uint32_t pair) {
  std::uint32_t length = 0, at = 0;
  do {
    std::uint32_t other = at;
    for (std::uint32_t k = at % 2; k < 2 * size; k += 2) {
      if (k == at || (ends[k] | pair) != (ends[at] | pair)) continue;
      if (other != at) return FARMCPU_PROOF_BRANCH;
      other = k;
    }
    if (other == at || ends[other] != (ends[at] ^ pair)) return FARMCPU_PROOF_DEAD_END;
    at = other ^ 1;
    ++length;
  } while (at != 0 && length <= size);
  return length == size && at == 0 ? FARMCPU_PROOF_OK : FARMCPU_PROOF_SHORT_CYCLE;
}

}  // namespace

farmcpu_proof verify(const farmcpu_graph &graph, const std::uint32_t *edges, std::size_t count) {
  if (!is_sound(graph)) return FARMCPU_PROOF_BAD_GRAPH;
  if (count != graph.proof_size) return FARMCPU_PROOF_WRONG_LENGTH;
  std::uint32_t ends[2 * kMaxProofSize];
  // A side's nodes come in twos that differ by the pair bit.
  std::uint32_t xor_u = graph.cycle * (graph.proof_size / 2 % 2), xor_v = xor_u;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (edges[i] > cuckoo_mask(graph.edge_bits)) return FARMCPU_PROOF_TOO_BIG;
    if (i && edges[i] <= edges[i - 1]) return FARMCPU_PROOF_TOO_SMALL;
    const Endpoints e = endpoints_of_edge(graph, edges[i]);
    xor_u ^= ends[2 * i] = e.u;
    xor_v ^= ends[2 * i + 1] = e.v;
  }
  if (xor_u | xor_v) return FARMCPU_PROOF_NON_MATCHING;
  return walk(ends, graph.proof_size, graph.cycle);
}

}  // namespace farmcpu
