// The mean trimmer as a library for the host: what the tests run where there is no GPU.
#include <cstring>

#include "cuckoo_mean.cu"

namespace {

using Kernel = void (*)(Job *, u32);

struct Named {
  const char *name;
  Kernel kernel;
};

constexpr Named kKernels[] = {
    {"generate_cuckaroo_4_8", generate_cuckaroo_4_8},
    {"generate_cuckaroo_2_4", generate_cuckaroo_2_4},
    {"generate_cuckatoo_2_4", generate_cuckatoo_2_4},
    {"recover_cuckaroo_4_8", recover_cuckaroo_4_8},
    {"recover_cuckaroo_2_4", recover_cuckaroo_2_4},
    {"recover_cuckatoo_2_4", recover_cuckatoo_2_4},
    {"trim", trim},
    {"collect", collect},
    {"tail", tail},
    {"clear_counts", clear_counts},
    {"clear_bitmaps", clear_bitmaps},
};

}  // namespace

// Returns 0, or 1 if there is no such kernel.
extern "C" int cuckoo_host_launch(const char *name, Job *job, u32 step, u32 groups, u32 lanes,
                                  u32 shared_bytes, u32 groups_at_once) {
  for (const Named &named : kKernels) {
    if (std::strcmp(named.name, name) != 0) continue;
    host::launch({groups, lanes, shared_bytes, groups_at_once},
                 [&] { named.kernel(job, step); });
    return 0;
  }
  return 1;
}

// Sizes of Segment, Step, Found and Job.
extern "C" void cuckoo_host_sizes(u32 sizes[4]) {
  sizes[0] = sizeof(Segment);
  sizes[1] = sizeof(Step);
  sizes[2] = sizeof(Found);
  sizes[3] = sizeof(Job);
}
