// The kernels' language on the host: groups of lanes, each a thread of its own, so that shared
// memory, barriers and atomics are what they are on a GPU. It proves logic, not warps or speed.
#pragma once

#define CUCKOO_HOST 1

#include <algorithm>
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#define DEVICE static inline
#define KERNEL(threads) extern "C" void
#define __device__
#define __forceinline__ inline
#define SHARED_MEMORY(name) unsigned int *const name = host::here.shared
#define LANE host::here.lane
#define LANES host::here.lanes
#define GROUP host::here.group
#define GROUPS host::here.groups

namespace host {

struct Place {
  unsigned lane = 0, lanes = 1, group = 0, groups = 1;
  unsigned int *shared = nullptr;
  std::barrier<> *barrier = nullptr;
};
inline thread_local Place here;

struct Launch {
  unsigned groups, lanes, shared_bytes, at_once;  // `at_once` groups run side by side
};

// One lane of one set of groups: first, first + stride ... Each group starts with what the last
// one left in its shared memory, as on a GPU.
template <typename Body>
void run_lane(const Launch &launch, unsigned first, unsigned stride, Place place, Body body) {
  here = place;
  for (here.group = first; here.group < launch.groups; here.group += stride) {
    body();
    if (here.barrier) here.barrier->arrive_and_wait();
  }
}

template <typename Body>
void launch(const Launch &launch, Body body) {
  const std::size_t words = (launch.shared_bytes + 3) / 4;
  std::vector<std::unique_ptr<unsigned int[]>> shared;
  std::vector<std::unique_ptr<std::barrier<>>> barriers;
  std::vector<std::jthread> threads;
  for (unsigned set = 0; set < launch.at_once; ++set) {
    shared.push_back(std::make_unique<unsigned int[]>(words));
    std::fill_n(shared.back().get(), words, 0xa5a5a5a5u);  // nothing is cleared on a GPU either
    barriers.push_back(std::make_unique<std::barrier<>>(launch.lanes));
    for (unsigned lane = 0; lane < launch.lanes; ++lane) {
      const Place place{lane, launch.lanes, 0, launch.groups, shared[set].get(),
                        launch.lanes > 1 ? barriers[set].get() : nullptr};
      if (launch.lanes * launch.at_once == 1) return run_lane(launch, 0, 1, place, body);
      threads.emplace_back([&launch, set, place, body] {
        run_lane(launch, set, launch.at_once, place, body);
      });
    }
  }
}

}  // namespace host

DEVICE void synchronise() {
  if (host::here.barrier) host::here.barrier->arrive_and_wait();
}
