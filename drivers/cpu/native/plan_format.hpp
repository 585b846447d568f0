// A packed plan, as drivers/cpu/blob.py writes it: one file for one model, one instruction set and
// one build of this code (which its name tells), mapped and used as it lies.
//
//   PlanHeader | PlanValue... | PlanLayer... | head numbers (u32) | bytes of all sections' arrays
//
// Every place (`_at`) counts bytes from the blob's beginning, and is a multiple of 64 where
// bytes or words lie. Activations lie in a workspace that all plans share; their places count
// from its beginning. Integers are little-endian.
#pragma once

#include <cstdint>

#include "infer_kernels.hpp"

namespace farmcpu {

inline constexpr char kPlanMagic[8] = {'F', 'A', 'R', 'M', 'P', 'L', 'A', 'N'};
inline constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

struct PlanHeader {
  char magic[8];
  std::uint64_t bytes;         // of the whole blob
  std::uint64_t checksum;      // `checksum_of` everything behind it
  char isa[16];
  std::uint8_t model[32];      // digest of the model's id
  std::uint8_t program[32];    // digest of the program
  std::uint64_t workspace_bytes;
  std::uint32_t values, layers, heads, unused;
  std::uint64_t values_at, layers_at, heads_at;
};
static_assert(sizeof(PlanHeader) == 152);

// A tensor of int32 in its program's shape: the input, constants and what general steps compute.
struct PlanValue {
  std::uint32_t dimensions, is_constant;
  std::int64_t shape[6];
  std::uint64_t at;  // in the workspace, or in the blob if constant
  std::int64_t precision;
};
static_assert(sizeof(PlanValue) == 72);

enum class LayerKind : std::uint32_t {
  kConvolution, kPool, kAdd, kScale, kLookup, kCopy, kToBytes, kToWords, kGeneral
};

struct PlanForms {  // of layers between images
  infer::Image from, to;
  infer::Residual residual;
  infer::Rescale rescale;
};

struct PlanLayer {
  LayerKind kind;
  std::uint32_t method;  // of a convolution
  std::uint64_t source_at, other_at, target_at;    // in the workspace, or kNowhere
  std::uint64_t packed_at, packed_bytes;           // in the blob: weights, table, a step's text
  std::uint64_t multiplier_at, offset_at;          // in the blob: one word a channel
  union {
    infer::Convolution convolution;
    infer::Pool pool;
    PlanForms forms;
    std::uint8_t bytes[192];
  };
};
static_assert(sizeof(PlanLayer) == 256);

}  // namespace farmcpu
