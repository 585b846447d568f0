#include "isa.hpp"

#include <atomic>
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

const Isa kBaseline{baseline::table, baseline::mean_table};

#if defined(__x86_64__)
const Isa kAvx2{avx2::table, avx2::mean_table};
const Isa kAvx512{avx512::table, avx512::mean_table};

bool runs_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("popcnt");
}

bool runs_avx512() {
  return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

// The best set that this machine runs, or the named one if it does; else null.
const Isa *find(const char *name) {
  const auto fits = [name](const Isa &isa) {
    return !name || !std::strcmp(name, isa.kernels.name);
  };
#if defined(__x86_64__)
  if (fits(kAvx512) && runs_avx512()) return &kAvx512;
  if (fits(kAvx2) && runs_avx2()) return &kAvx2;
#endif
  return fits(kBaseline) ? &kBaseline : nullptr;
}

// Of the environment, which names sets of inference too: avx512vnni is avx512 here.
const Isa *find_forced() {
  const char *name = forced_isa();
  return find(name && !std::strcmp(name, "avx512vnni") ? "avx512" : name);
}

std::atomic<const Isa *> &chosen() {
  static std::atomic<const Isa *> isa = [] {
    const Isa *wanted = find_forced();
    return wanted ? wanted : &kBaseline;
  }();
  return isa;
}

}  // namespace

const char *forced_isa() {
  const char *name = std::getenv("FARMCPU_ISA");
  return name && *name ? name : nullptr;
}

const Kernels &kernels() { return chosen().load()->kernels; }

const MeanKernels &mean_kernels() { return chosen().load()->mean_kernels; }

bool use_isa(const char *name) {
  const Isa *isa = find(name);
  if (isa) chosen() = isa;
  return isa;
}

}  // namespace farmcpu
