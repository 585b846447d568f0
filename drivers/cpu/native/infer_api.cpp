// Single layers behind the C ABI: for tests and for measuring.
#include <new>
#include <system_error>

#include "farmcpu.h"
#include "infer_isa.hpp"
#include "infer_kernels.hpp"

using namespace farmcpu::infer;

struct farmcpu_team {
  Team team;
};

namespace {

template <typename Layer>
const Layer &as(const void *layer) {
  return *static_cast<const Layer *>(layer);
}

}  // namespace

extern "C" {

const char *farmcpu_infer_isa(void) { return isa_name(); }

farmcpu_status farmcpu_infer_use_isa(const char *name) {
  return choose_isa(name) ? FARMCPU_OK : FARMCPU_NOT_SUPPORTED;
}

uint64_t farmcpu_floor_multiply(uint64_t steps) {
  return infer_kernels(chosen_isa())->multiply_registers(steps);
}

farmcpu_team *farmcpu_team_create(uint32_t threads) {
  try {
    return new farmcpu_team{Team(threads)};
  } catch (const std::bad_alloc &) {
    return nullptr;
  } catch (const std::system_error &) {
    return nullptr;
  }
}

void farmcpu_team_free(farmcpu_team *team) { delete team; }

size_t farmcpu_convolution_methods(const void *layer, const void *parameters,
                                   uint32_t methods[FARMCPU_METHODS]) {
  static_assert(FARMCPU_METHODS == kMethods);
  Method found[kMethods];
  const size_t count = list_methods(as<Convolution>(layer), as<Parameters>(parameters), found);
  for (size_t i = 0; i < count; ++i) methods[i] = static_cast<uint32_t>(found[i]);
  return count;
}

size_t farmcpu_convolution_packed_bytes(const void *layer, uint32_t method) {
  return packed_bytes(as<Convolution>(layer), static_cast<Method>(method));
}

size_t farmcpu_convolution_scratch_bytes(const void *layer, uint32_t method, uint32_t threads) {
  return scratch_bytes(as<Convolution>(layer), static_cast<Method>(method), threads);
}

void farmcpu_convolution_pack(const void *layer, uint32_t method, const void *parameters,
                              uint8_t *packed) {
  pack(as<Convolution>(layer), static_cast<Method>(method), as<Parameters>(parameters), packed);
}

farmcpu_status farmcpu_convolve(const void *layer, const uint8_t *packed, const void *buffers,
                                farmcpu_team *team) {
  return convolve(as<Convolution>(layer), packed, as<Buffers>(buffers), team->team)
             ? FARMCPU_OK
             : FARMCPU_BAD_ARGUMENT;
}

void farmcpu_pool(const void *layer, const int32_t *multiplier, const int32_t *offset,
                  const uint8_t *source, void *target, farmcpu_team *team) {
  pool(as<Pool>(layer), multiplier, offset, source, target, team->team);
}

void farmcpu_add(const void *from, const void *to, const void *residual, const uint8_t *source,
                 const uint8_t *other, uint8_t *target, farmcpu_team *team) {
  add(as<Image>(from), as<Image>(to), as<Residual>(residual), source, other, target, team->team);
}

void farmcpu_scale(const void *from, const void *to, const void *rescale,
                   const int32_t *multiplier, const int32_t *offset, const uint8_t *source,
                   uint8_t *target, farmcpu_team *team) {
  scale(as<Image>(from), as<Image>(to), as<Rescale>(rescale), multiplier, offset, source, target,
        team->team);
}

void farmcpu_look_up(const void *from, const void *to, const uint8_t *table,
                     const uint8_t *source, uint8_t *target, farmcpu_team *team) {
  look_up(as<Image>(from), as<Image>(to), table, source, target, team->team);
}

void farmcpu_copy(const void *from, const void *to, const uint8_t *source, uint8_t *target,
                  farmcpu_team *team) {
  copy(as<Image>(from), as<Image>(to), source, target, team->team);
}

void farmcpu_to_bytes(const void *to, const int32_t *source, uint8_t *target,
                      farmcpu_team *team) {
  to_bytes(as<Image>(to), source, target, team->team);
}

void farmcpu_to_words(const void *from, const uint8_t *source, int32_t *target,
                      farmcpu_team *team) {
  to_words(as<Image>(from), source, target, team->team);
}

}  // extern "C"
