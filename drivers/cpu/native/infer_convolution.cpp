// Which method a convolution takes, and what its packed form begins with.
#include <cstring>

#include "infer_direct.hpp"
#include "infer_isa.hpp"
#include "infer_plain.hpp"

namespace farmcpu::infer {
namespace {

constexpr std::uint32_t kMagic = 0x4b4c5046;  // of packed layers of this version

struct Header {
  std::uint32_t magic, isa;
  Method method;
  std::uint32_t unused[13];
};
static_assert(sizeof(Header) == kAlignment);

}  // namespace

std::size_t list_methods(const Convolution &, const Parameters &, Method methods[kMethods]) {
  std::size_t count = 0;
  methods[count++] = Method::kDirect;
  methods[count++] = Method::kPlain;
  return count;
}

std::size_t packed_bytes(const Convolution &layer, Method method) {
  const InferKernels &isa = *infer_kernels(chosen_isa());
  if (method == Method::kPlain) return sizeof(Header) + plain::packed_bytes(layer);
  return sizeof(Header) + direct::packed_bytes(isa, layer);
}

void pack(const Convolution &layer, Method method, const Parameters &parameters,
          std::uint8_t *packed) {
  const Header header{kMagic, chosen_isa(), method, {}};
  std::memcpy(packed, &header, sizeof header);
  if (method == Method::kPlain) return plain::pack(layer, parameters, packed + sizeof header);
  direct::pack(*infer_kernels(header.isa), layer, parameters, packed + sizeof header);
}

std::size_t scratch_bytes(const Convolution &layer, Method method, std::uint32_t threads) {
  if (method == Method::kPlain) return 0;
  return direct::scratch_bytes(*infer_kernels(chosen_isa()), layer, threads);
}

bool convolve(const Convolution &layer, const std::uint8_t *packed, const Buffers &buffers,
              Team &team) {
  Header header;
  std::memcpy(&header, packed, sizeof header);
  const InferKernels *isa = infer_kernels(header.isa);
  if (header.magic != kMagic || !isa) return false;
  packed += sizeof header;
  if (header.method == Method::kPlain) plain::convolve(layer, packed, buffers, team);
  if (header.method == Method::kDirect) direct::convolve(*isa, layer, packed, buffers, team);
  return header.method == Method::kPlain || header.method == Method::kDirect;
}

}  // namespace farmcpu::infer
