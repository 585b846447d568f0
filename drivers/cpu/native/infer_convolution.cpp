// Which method a convolution takes, and what its packed form begins with.
#include <cstring>

#include "infer_direct.hpp"
#include "infer_isa.hpp"
#include "infer_narrow.hpp"
#include "infer_packing.hpp"
#include "infer_plain.hpp"
#include "infer_winograd.hpp"

namespace farmcpu::infer {
namespace {

constexpr std::uint32_t kMagic = 0x4b4c5047;  // of packed layers of this version

struct Header {
  std::uint32_t magic, isa;
  Method method;
  Style style;
  std::uint32_t unused[12];
};
static_assert(sizeof(Header) == kAlignment);

}  // namespace

std::size_t list_methods(const Convolution &layer, const Parameters &parameters,
                         Method methods[kMethods]) {
  const InferKernels &isa = *infer_kernels(chosen_isa());
  std::size_t count = 0;
  for (const Method method : {Method::kGrouped, Method::kDepthwise})
    if (narrow::fits(isa, layer, method)) methods[count++] = method;
  const bool transforms = winograd::fits(layer) && winograd::is_exact(layer, parameters.weight);
  const bool first = transforms && winograd::is_worthwhile(layer);
  if (first) methods[count++] = Method::kWinograd;
  methods[count++] = Method::kDirect;
  if (transforms && !first) methods[count++] = Method::kWinograd;
  methods[count++] = Method::kPlain;
  return count;
}

std::size_t packed_bytes(const Convolution &layer, Method method) {
  const InferKernels &isa = *infer_kernels(chosen_isa());
  switch (method) {
    case Method::kPlain:
      return sizeof(Header) + plain::packed_bytes(layer);
    case Method::kDepthwise:
    case Method::kGrouped:
      return sizeof(Header) + narrow::packed_bytes(isa, layer);
    case Method::kWinograd:
      return sizeof(Header) + winograd::packed_bytes(isa, layer);
    default:
      return sizeof(Header) + direct::packed_bytes(isa, layer);
  }
}

void pack(const Convolution &layer, Method method, const Parameters &parameters,
          std::uint8_t *packed) {
  const Style style = find_style(layer, parameters);
  const Header header{kMagic, chosen_isa(), method, style, {}};
  const InferKernels &isa = *infer_kernels(header.isa);
  std::memcpy(packed, &header, sizeof header);
  packed += sizeof header;
  switch (method) {
    case Method::kPlain:
      return plain::pack(layer, parameters, packed);
    case Method::kDepthwise:
    case Method::kGrouped:
      return narrow::pack(isa, layer, style, parameters, packed);
    case Method::kWinograd:
      return winograd::pack(isa, layer, style, parameters, packed);
    default:
      return direct::pack(isa, layer, style, parameters, packed);
  }
}

bool is_packed(const std::uint8_t *packed, Method method) {
  Header header;
  std::memcpy(&header, packed, sizeof header);
  return header.magic == kMagic && header.isa == chosen_isa() && header.method == method;
}

std::size_t scratch_bytes(const Convolution &layer, Method method, std::uint32_t threads) {
  switch (method) {
    case Method::kPlain:
      return 0;
    case Method::kDepthwise:
    case Method::kGrouped:
      return narrow::scratch_bytes(layer, threads);
    case Method::kWinograd:
      return winograd::scratch_bytes(*infer_kernels(chosen_isa()), layer, threads);
    default:
      return direct::scratch_bytes(*infer_kernels(chosen_isa()), layer, threads);
  }
}

bool convolve(const Convolution &layer, const std::uint8_t *packed, const Buffers &buffers,
              Team &team) {
  Header header;
  std::memcpy(&header, packed, sizeof header);
  const InferKernels *isa = infer_kernels(header.isa);
  if (header.magic != kMagic || !isa) return false;
  packed += sizeof header;
  switch (header.method) {
    case Method::kPlain:
      return plain::convolve(layer, packed, buffers, team), true;
    case Method::kDirect:
      return direct::convolve(*isa, layer, header.style, packed, buffers, team), true;
    case Method::kDepthwise:
    case Method::kGrouped:
      if (!narrow::fits(*isa, layer, header.method)) return false;
      return narrow::convolve(*isa, layer, header.style, packed, buffers, team), true;
    case Method::kWinograd:
      if (!winograd::fits(layer)) return false;
      return winograd::convolve(*isa, layer, header.style, packed, buffers, team), true;
    default:
      return false;
  }
}

}  // namespace farmcpu::infer
