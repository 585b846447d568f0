// The kernels' language on the host: the lanes of a group are fibers that take turns, in one
// order or the other, so that barriers, copies aside and instructions of whole warps are what
// they are on a GPU. A barrier left out shows as a wrong sum in one of the orders.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define DEVICE static inline
#define DEVICE_MEMBER inline
#define KERNEL(lanes, groups) extern "C" void
#define SHARED_MEMORY(name) unsigned char *const name = lanes::group.shared
#define LANE lanes::here->number
#define LANES lanes::group.lanes
#define GROUP_X lanes::group.x
#define GROUP_Y lanes::group.y
#define GROUP_Z lanes::group.z
#define GROUPS_X lanes::group.groups_x
#define GROUPS_Y lanes::group.groups_y

namespace lanes {

constexpr std::size_t kStackBytes = 64 << 10;
constexpr std::size_t kSharedAlignment = 1024;
constexpr unsigned kMostLanes = 512;

struct Copy {
  void *to;
  const void *from;
  unsigned bytes;
};

struct Lane {
  unsigned number = 0;
  bool started = false, done = false;
  ucontext_t context{};  // to begin with; `jump` goes on without a call of the system
  jmp_buf jump;
  std::unique_ptr<char[]> stack;
  std::vector<std::vector<Copy>> copies{1};  // groups of copies, the open one last
  std::uint64_t told[4] = {};                // what it tells the lanes of its warp
};

struct Barrier {
  unsigned arrived = 0, turn = 0;
};

struct Group {
  unsigned x = 0, y = 0, z = 0, groups_x = 1, groups_y = 1, lanes = 1;
  unsigned char *shared = nullptr;
  Barrier all;
  std::vector<Barrier> warps;
};

inline Group group;
inline std::vector<Lane> every;
inline Lane *here = nullptr;
inline jmp_buf scheduler;
inline const std::function<void()> *body = nullptr;

inline void yield() {
  if (!_setjmp(here->jump)) _longjmp(scheduler, 1);
}

inline void resume(Lane &lane) {
  here = &lane;
  if (_setjmp(scheduler)) return;
  if (lane.started) _longjmp(lane.jump, 1);
  lane.started = true;
  setcontext(&lane.context);
}

inline void meet(Barrier &barrier, unsigned expected) {
  const unsigned turn = barrier.turn;
  if (++barrier.arrived == expected) {
    barrier.arrived = 0;
    ++barrier.turn;
  }
  while (barrier.turn == turn) yield();
}

inline void meet_warp(unsigned width = 32) {
  meet(group.warps[here->number / width], std::min(width, group.lanes));
}

inline void enter() {
  (*body)();
  here->done = true;
  _longjmp(scheduler, 1);
}

inline void run_group(bool backwards) {
  for (unsigned i = 0; i < group.lanes; ++i) {
    Lane &lane = every[i];
    lane.number = i;
    lane.started = lane.done = false;
    lane.copies.assign(1, {});
    getcontext(&lane.context);
    lane.context.uc_stack.ss_sp = lane.stack.get();
    lane.context.uc_stack.ss_size = kStackBytes;
    lane.context.uc_link = nullptr;
    makecontext(&lane.context, enter, 0);
  }
  for (unsigned left = group.lanes; left;) {
    for (unsigned i = 0; i < group.lanes; ++i) {
      Lane &lane = every[backwards ? group.lanes - 1 - i : i];
      if (lane.done) continue;
      resume(lane);
      left -= lane.done;
    }
  }
}

struct Launch {
  unsigned x, y, z, lanes, shared_bytes;
  bool backwards;
};

inline void launch(const Launch &launch, const std::function<void()> &kernel) {
  std::vector<unsigned char> memory(launch.shared_bytes + kSharedAlignment, 0xa5);
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
  group = {};
  group.shared = memory.data() + (kSharedAlignment - address % kSharedAlignment);
  group.groups_x = launch.x;
  group.groups_y = launch.y;
  group.lanes = launch.lanes;
  group.warps.assign(launch.lanes / 32 + 1, {});
  body = &kernel;
  for (std::size_t have = every.size(); have < launch.lanes; ++have) {
    every.emplace_back().stack = std::make_unique<char[]>(kStackBytes);
  }
  for (group.z = 0; group.z < launch.z; ++group.z) {
    for (group.y = 0; group.y < launch.y; ++group.y) {
      for (group.x = 0; group.x < launch.x; ++group.x) run_group(launch.backwards);
    }
  }
}

}  // namespace lanes

DEVICE void synchronise() { lanes::meet(lanes::group.all, lanes::group.lanes); }
DEVICE u32 add(u32 *at, u32 value) {
  const u32 before = *at;
  *at += value;
  return before;
}
DEVICE void fence() {}
DEVICE u32 read_fresh(const u32 *at) { return *at; }

// A copy happens as late as it may: when it is awaited.
DEVICE void copy_aside(void *to, const void *from, unsigned bytes) {
  lanes::here->copies.back().push_back({to, from, bytes});
}
DEVICE void copy_16(void *to, const void *from) { copy_aside(to, from, 16); }
DEVICE void copy_4(void *to, const void *from) { copy_aside(to, from, 4); }
DEVICE void commit_copies() { lanes::here->copies.emplace_back(); }
template <int kLeft>
DEVICE void await_copies() {
  auto &groups = lanes::here->copies;
  while (groups.size() > kLeft + 1u) {
    for (const lanes::Copy &copy : groups.front()) std::memcpy(copy.to, copy.from, copy.bytes);
    groups.erase(groups.begin());
  }
}
