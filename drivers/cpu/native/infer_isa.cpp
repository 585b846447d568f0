#include "infer_isa.hpp"

#include <atomic>
#include <cstring>

#include "isa.hpp"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace farmcpu::infer {

#define FARMCPU_DECLARE(isa)             \
  namespace isa {                        \
  extern const InferKernels infer_table; \
  }
FARMCPU_DECLARE(baseline)
#if defined(__x86_64__)
FARMCPU_DECLARE(avx2)
FARMCPU_DECLARE(avx512)
FARMCPU_DECLARE(avx512vnni)
#elif defined(__aarch64__)
FARMCPU_DECLARE(i8mm)
#endif
#undef FARMCPU_DECLARE

namespace {

// Their places are written into packed layers: append, never reorder.
const InferKernels *const kSets[] = {
    &baseline::infer_table,
#if defined(__x86_64__)
    &avx2::infer_table, &avx512::infer_table, &avx512vnni::infer_table,
#elif defined(__aarch64__)
    &i8mm::infer_table,
#endif
};
constexpr std::uint32_t kSetCount = sizeof kSets / sizeof *kSets;

bool runs_here(std::uint32_t isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  const bool has[] = {true, avx2, avx512, avx512 && __builtin_cpu_supports("avx512vnni")};
  return has[isa];
#elif defined(__aarch64__)
  return isa == 0 || (getauxval(AT_HWCAP2) & HWCAP2_I8MM);
#else
  return isa == 0;
#endif
}

// The best set that runs here, or the named one if it does; else kSetCount.
std::uint32_t find(const char *name) {
  for (std::uint32_t isa = kSetCount; isa-- > 0;)
    if (runs_here(isa) && (!name || !std::strcmp(name, kSets[isa]->name))) return isa;
  return kSetCount;
}

std::atomic<std::uint32_t> &chosen() {
  static std::atomic<std::uint32_t> isa = [] {
    const std::uint32_t wanted = find(forced_isa());
    return wanted < kSetCount ? wanted : 0;
  }();
  return isa;
}

}  // namespace

const InferKernels *infer_kernels(std::uint32_t isa) {
  return isa < kSetCount && runs_here(isa) ? kSets[isa] : nullptr;
}

std::uint32_t chosen_isa() { return chosen(); }

const char *isa_name() { return kSets[chosen()]->name; }

bool choose_isa(const char *name) {
  const std::uint32_t isa = find(name);
  if (isa < kSetCount) chosen() = isa;
  return isa < kSetCount;
}

}  // namespace farmcpu::infer
