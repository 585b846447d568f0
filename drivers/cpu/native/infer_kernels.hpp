// The layers of drivers/kernels/infer/layers.py on a CPU: what the executor of a plan calls.
//
// Structs are plain (a blob may hold them as they are). Every kernel is exact for every bound that
// the plan proved: all sums and products of a layer fit int32.
//
// BYTES tensors are uint8 (batch, height, width, channels): pixel (n, y, x) begins at
// ((n * height + y) * width + x) * pixel_stride, and value = byte - zero. Channels need no
// padding; 16 to a pixel (or a multiple) is best, and a part of a concatenation is an image whose
// pointer lies `offset` channels in and whose pixel_stride is the whole's. Writers write exactly
// `channels` bytes of each pixel. Readers may read past them, but never past kSlackBytes behind
// the last byte of the last pixel, so a buffer ends with as many bytes that may be read.
// WORDS tensors are int32, row-major (batch, channels, height, width).
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer_team.hpp"

namespace farmcpu::infer {

inline constexpr std::size_t kSlackBytes = 64;
// Buffers, packed weights and scratch memory begin at a multiple of this.
inline constexpr std::size_t kAlignment = 64;

struct Image {
  std::uint32_t batch, height, width, channels;
  std::uint32_t pixel_stride;  // bytes
  std::int32_t zero;           // 0 or 128
};

struct Window {
  std::uint32_t rows, columns;
  std::uint32_t row_stride, column_stride;
  std::uint32_t top, left, bottom, right;  // padding
  std::uint32_t row_dilation, column_dilation;
};

// layers.Rescale but for its arrays. Without a clip pre_low and pre_high are the ends of int32.
struct Rescale {
  std::int32_t pre_half, pre_shift, pre_low, pre_high;
  std::int32_t shift, low, high;
};

// layers.Residual; the other image has the target's batch, height, width and channels.
struct Residual {
  std::int32_t own, theirs, half, shift, low, high;
  std::uint32_t pixel_stride;
  std::int32_t zero;
};

struct Convolution {
  Image source, target;  // without a rescaling target is WORDS: pixel_stride and zero do not count
  Window window;
  std::uint32_t groups;
  std::uint32_t rescaled;      // 0 or 1
  std::uint32_t has_residual;  // 0 or 1; only of a rescaled one
  Rescale rescale;
  Residual residual;
  std::int32_t source_low, source_high;  // proved bounds of the source's values
};

// What is packed; each array but `weight` has one element for each output channel.
struct Parameters {
  const std::int8_t *weight;  // (out, in / groups, rows, columns)
  const std::int32_t *bias;
  const std::int32_t *multiplier, *offset;  // null unless rescaled
};

enum class Method : std::uint32_t { kPlain, kDirect, kDepthwise, kGrouped, kWinograd };
inline constexpr std::size_t kMethods = 5;

// The instruction set that layers are packed for: "avx512vnni", "avx512", "avx2" or "baseline";
// the environment's FARMCPU_ISA forces one. A packed layer runs on the set that it was packed for.
const char *isa_name();
// False for a set that is not here or that this machine lacks. Nothing may be running.
bool choose_isa(const char *name);

// The methods that are exact for this layer, the one likely to be the fastest first.
std::size_t list_methods(const Convolution &layer, const Parameters &parameters,
                         Method methods[kMethods]);
std::size_t packed_bytes(const Convolution &layer, Method method);
// `packed` has packed_bytes() bytes; they hold no pointers and may be moved, saved and mapped.
void pack(const Convolution &layer, Method method, const Parameters &parameters,
          std::uint8_t *packed);
// Whether bytes were packed by `method` for the instruction set in use.
bool is_packed(const std::uint8_t *packed, Method method);
// For any number of threads up to `threads`.
std::size_t scratch_bytes(const Convolution &layer, Method method, std::uint32_t threads);

struct Buffers {
  const std::uint8_t *source;
  const std::uint8_t *other;  // of the residual, else null
  void *target;
  std::uint8_t *scratch;
};

// The method is that of `packed`. False, with nothing done, if `packed` is not of this layer's
// form or of an instruction set that this machine lacks.
bool convolve(const Convolution &layer, const std::uint8_t *packed, const Buffers &buffers,
              Team &team);

struct Pool {
  Image source, target;  // a sum without a rescaling has a WORDS target
  Window window;
  std::uint32_t largest;   // 1: the maximum, 0: the sum
  std::uint32_t rescaled;  // 0 or 1; only of a sum
  Rescale rescale;
};

// multiplier and offset: one for each channel; null unless rescaled.
void pool(const Pool &layer, const std::int32_t *multiplier, const std::int32_t *offset,
          const std::uint8_t *source, void *target, Team &team);

// The images below have one shape but for strides and zeros.
void add(const Image &from, const Image &to, const Residual &residual, const std::uint8_t *source,
         const std::uint8_t *other, std::uint8_t *target, Team &team);
void scale(const Image &from, const Image &to, const Rescale &rescale,
           const std::int32_t *multiplier, const std::int32_t *offset, const std::uint8_t *source,
           std::uint8_t *target, Team &team);
void look_up(const Image &from, const Image &to, const std::uint8_t table[256],
             const std::uint8_t *source, std::uint8_t *target, Team &team);
// One value for another zero; the bytes themselves where the zeros are equal.
void copy(const Image &from, const Image &to, const std::uint8_t *source, std::uint8_t *target,
          Team &team);
void to_bytes(const Image &to, const std::int32_t *source, std::uint8_t *target, Team &team);
void to_words(const Image &from, const std::uint8_t *source, std::int32_t *target, Team &team);

}  // namespace farmcpu::infer
