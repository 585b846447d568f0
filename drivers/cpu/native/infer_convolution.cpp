// Which method a convolution takes, and what its packed form begins with.
#include <cstring>

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

const char *isa_name() { return "baseline"; }

bool choose_isa(const char *name) { return !std::strcmp(name, isa_name()); }

std::size_t list_methods(const Convolution &, const Parameters &, Method methods[kMethods]) {
  methods[0] = Method::kPlain;
  return 1;
}

std::size_t packed_bytes(const Convolution &layer, Method) {
  return sizeof(Header) + plain::packed_bytes(layer);
}

void pack(const Convolution &layer, Method method, const Parameters &parameters,
          std::uint8_t *packed) {
  const Header header{kMagic, 0, method, {}};
  std::memcpy(packed, &header, sizeof header);
  plain::pack(layer, parameters, packed + sizeof header);
}

std::size_t scratch_bytes(const Convolution &, Method, std::uint32_t) { return 0; }

bool convolve(const Convolution &layer, const std::uint8_t *packed, const Buffers &buffers,
              Team &team) {
  Header header;
  std::memcpy(&header, packed, sizeof header);
  if (header.magic != kMagic || header.method != Method::kPlain) return false;
  plain::convolve(layer, packed + sizeof header, buffers, team);
  return true;
}

void pool(const Pool &layer, const std::int32_t *multiplier, const std::int32_t *offset,
          const std::uint8_t *source, void *target, Team &team) {
  plain::pool(layer, multiplier, offset, source, target, team);
}

}  // namespace farmcpu::infer
