// What the machine can do at best on one thread: hashing, reading, storing past the caches.
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "farmcpu.h"
#include "isa.hpp"

using namespace farmcpu;

uint64_t farmcpu_floor_hash(const farmcpu_graph *graph, uint64_t edges) {
  alignas(64) uint64_t words[kLanes * kBlockEdges];
  uint64_t mixed = 0;
  for (uint64_t first = 0; first < edges; first += kLanes * kBlockEdges) {
    kernels().siphash_blocks(graph->keys, graph->compression_rounds, graph->finalisation_rounds,
                             first, words);
    for (const uint64_t word : words) mixed ^= word;
  }
  return mixed;
}

uint64_t farmcpu_floor_read(const uint64_t *words, size_t count) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; ++i) sum += words[i];
  return sum;
}

void farmcpu_floor_store(uint64_t *words, size_t count, uint64_t value) {
#if defined(__SSE2__)
  const __m128i pair = _mm_set1_epi64x(static_cast<long long>(value));
  for (size_t i = 0; i + 2 <= count; i += 2)
    _mm_stream_si128(reinterpret_cast<__m128i *>(words + i), pair);
  _mm_sfence();
#else
  for (size_t i = 0; i < count; ++i) words[i] = value;
#endif
}
