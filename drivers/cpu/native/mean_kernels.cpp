// Built once per instruction set, so nothing here may use the standard library's templates:
// a copy built for a newer machine could be linked into code that runs on an older one.
#include "mean_kernels.hpp"

#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

#include "cuckoo_graph.h"

namespace farmcpu {
namespace FARMCPU_ISA {
namespace {

using std::size_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

#include "mean_generate.hpp"
#include "mean_tables.hpp"
#include "mean_trim.hpp"

}  // namespace

extern const MeanKernels mean_table;
const MeanKernels mean_table = {generate, trim, trim_and_name};

}  // namespace FARMCPU_ISA
}  // namespace farmcpu
