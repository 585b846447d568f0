// Built once per instruction set, so nothing here may use the standard library's templates:
// a copy built for a newer machine could be linked into code that runs on an older one.
#include "isa.hpp"

namespace farmcpu {
namespace FARMCPU_ISA {
namespace {

using std::int32_t;
using std::size_t;
using std::uint32_t;
using std::uint64_t;

typedef uint64_t Vector __attribute__((vector_size(FARMCPU_VECTOR_BYTES)));
constexpr size_t kWidth = FARMCPU_VECTOR_BYTES / sizeof(uint64_t);
// Two vectors in flight hide the latency of the rounds.
constexpr size_t kVectors = 2;

template <int bits>
inline Vector rotate(Vector x) {
  return (x << bits) | (x >> (64 - bits));
}

struct State {
  Vector v0[kVectors], v1[kVectors], v2[kVectors], v3[kVectors];

  inline void round() {
    for (size_t k = 0; k < kVectors; ++k) {
      v0[k] += v1[k];
      v2[k] += v3[k];
      v1[k] = rotate<13>(v1[k]);
      v3[k] = rotate<16>(v3[k]);
      v1[k] ^= v0[k];
      v3[k] ^= v2[k];
      v0[k] = rotate<32>(v0[k]);
      v2[k] += v1[k];
      v0[k] += v3[k];
      v1[k] = rotate<17>(v1[k]);
      v3[k] = rotate<21>(v3[k]);
      v1[k] ^= v2[k];
      v3[k] ^= v0[k];
      v2[k] = rotate<32>(v2[k]);
    }
  }
};

// One group of kVectors * kWidth blocks; `words` points at its first lane.
void hash_group(const uint64_t keys[4], uint32_t compression_rounds, uint32_t finalisation_rounds,
                uint64_t first_edge, uint64_t *words) {
  State s;
  Vector edge[kVectors], last[kVectors];
  for (size_t k = 0; k < kVectors; ++k) {
    s.v0[k] = Vector{} + keys[0];
    s.v1[k] = Vector{} + keys[1];
    s.v2[k] = Vector{} + keys[2];
    s.v3[k] = Vector{} + keys[3];
    uint64_t lanes[kWidth];
    for (size_t lane = 0; lane < kWidth; ++lane)
      lanes[lane] = first_edge + (k * kWidth + lane) * kBlockEdges;
    __builtin_memcpy(&edge[k], lanes, sizeof lanes);
  }
  for (size_t i = 0; i < kBlockEdges; ++i) {
    for (size_t k = 0; k < kVectors; ++k) s.v3[k] ^= edge[k];
    for (uint32_t r = 0; r < compression_rounds; ++r) s.round();
    for (size_t k = 0; k < kVectors; ++k) {
      s.v0[k] ^= edge[k];
      s.v2[k] ^= Vector{} + 0xff;
      edge[k] += Vector{} + 1;
    }
    for (uint32_t r = 0; r < finalisation_rounds; ++r) s.round();
    for (size_t k = 0; k < kVectors; ++k) {
      last[k] = (s.v0[k] ^ s.v1[k]) ^ (s.v2[k] ^ s.v3[k]);
      __builtin_memcpy(words + i * kLanes + k * kWidth, &last[k], sizeof last[k]);
    }
  }
  for (size_t i = 0; i + 1 < kBlockEdges; ++i)
    for (size_t k = 0; k < kVectors; ++k) {
      Vector word;
      __builtin_memcpy(&word, words + i * kLanes + k * kWidth, sizeof word);
      word ^= last[k];
      __builtin_memcpy(words + i * kLanes + k * kWidth, &word, sizeof word);
    }
}

void siphash_blocks(const uint64_t keys[4], uint32_t compression_rounds,
                    uint32_t finalisation_rounds, uint64_t first_edge, uint64_t *words) {
  for (size_t lane = 0; lane < kLanes; lane += kVectors * kWidth)
    hash_group(keys, compression_rounds, finalisation_rounds, first_edge + lane * kBlockEdges,
               words + lane);
}

void siphash_each(const uint64_t keys[4], uint32_t compression_rounds,
                  uint32_t finalisation_rounds, uint64_t *words, size_t count) {
  for (size_t first = 0; first < count; first += kVectors * kWidth) {
    State s;
    Vector input[kVectors];
    __builtin_memcpy(input, words + first, sizeof input);
    for (size_t k = 0; k < kVectors; ++k) {
      s.v0[k] = Vector{} + keys[0];
      s.v1[k] = Vector{} + keys[1];
      s.v2[k] = Vector{} + keys[2];
      s.v3[k] = (Vector{} + keys[3]) ^ input[k];
    }
    for (uint32_t r = 0; r < compression_rounds; ++r) s.round();
    for (size_t k = 0; k < kVectors; ++k) {
      s.v0[k] ^= input[k];
      s.v2[k] ^= Vector{} + 0xff;
    }
    for (uint32_t r = 0; r < finalisation_rounds; ++r) s.round();
    for (size_t k = 0; k < kVectors; ++k) input[k] = (s.v0[k] ^ s.v1[k]) ^ (s.v2[k] ^ s.v3[k]);
    __builtin_memcpy(words + first, input, sizeof input);
  }
}

void multiply_add(int32_t *sums, const int32_t *values, int32_t weight, size_t count,
                  size_t stride) {
  if (stride == 1) {
    for (size_t i = 0; i < count; ++i) sums[i] += weight * values[i];
    return;
  }
  for (size_t i = 0; i < count; ++i) sums[i] += weight * values[i * stride];
}

int32_t dot(const int32_t *a, const int32_t *b, size_t count) {
  int32_t sum = 0;
  for (size_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

#define FARMCPU_STRING_OF(x) #x
#define FARMCPU_STRING(x) FARMCPU_STRING_OF(x)

extern const Kernels table;
const Kernels table = {FARMCPU_STRING(FARMCPU_ISA), siphash_blocks, siphash_each, multiply_add, dot};

}  // namespace FARMCPU_ISA
}  // namespace farmcpu
