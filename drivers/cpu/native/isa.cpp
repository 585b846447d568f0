#include "isa.hpp"

#include <cstdlib>
#include <cstring>

#include "mean_kernels.hpp"

namespace farmcpu {

#define FARMCPU_DECLARE(isa)            \
  namespace isa {                       \
  extern const Kernels table;           \
  extern const MeanKernels mean_table;  \
  }
FARMCPU_DECLARE(baseline)
#if defined(__x86_64__)
FARMCPU_DECLARE(avx2)
FARMCPU_DECLARE(avx512)
#endif
#undef FARMCPU_DECLARE

namespace {

struct Isa {
  const Kernels &kernels;
  const MeanKernels &mean_kernels;
};

const Isa &choose() {
  static const Isa baseline_isa{baseline::table, baseline::mean_table};
#if defined(__x86_64__)
  static const Isa avx2_isa{avx2::table, avx2::mean_table};
  static const Isa avx512_isa{avx512::table, avx512::mean_table};
  __builtin_cpu_init();
  const char *wanted = std::getenv("FARMCPU_ISA");
  const auto may_use = [&](const Isa &isa) {
    return !wanted || !std::strcmp(wanted, isa.kernels.name);
  };
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2") ||
      !__builtin_cpu_supports("popcnt"))
    return baseline_isa;
  if (may_use(avx512_isa) && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    return avx512_isa;
  if (may_use(avx2_isa)) return avx2_isa;
#endif
  return baseline_isa;
}

const Isa &chosen() {
  static const Isa &isa = choose();
  return isa;
}

}  // namespace

const Kernels &kernels() { return chosen().kernels; }

const MeanKernels &mean_kernels() { return chosen().mean_kernels; }

}  // namespace farmcpu
