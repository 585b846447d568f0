#include "infer_team.hpp"

#ifdef __wasm__

namespace farmcpu::infer {

// One after another: here are no threads.
struct Team::State {};
Team::Team(std::uint32_t) : threads_(1) {}
Team::~Team() = default;

void Team::run(std::uint32_t tasks, Work work, void *context) {
  for (std::uint32_t task = 0; task < tasks; ++task) work(context, task, 0);
}

}  // namespace farmcpu::infer

#else

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace farmcpu::infer {
namespace {

constexpr auto kSpin = std::chrono::microseconds(40);
constexpr std::uint32_t kLooks = 32;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Whether `done` came true within kSpin.
template <typename Condition>
bool spin(const Condition &done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (std::uint32_t look = 0; look < kLooks; ++look) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

// A job's number, its count of tasks and the next task, in one word: a claim of a task that
// succeeds was made of that very job, which cannot end before the task has ended.
struct Ticket {
  std::uint32_t job;
  std::uint16_t tasks, next;
};

}  // namespace

struct Team::State {
  std::atomic<Ticket> ticket{{0, 0, 0}};
  std::atomic<Work> work{nullptr};
  std::atomic<void *> context{nullptr};
  std::atomic<std::uint32_t> done{0};
  std::atomic<std::uint32_t> job{0};  // what sleeping threads wait on
  std::atomic<bool> ending{false};
  std::mutex busy;
  std::vector<std::jthread> others;  // last, as its end waits for all of them

  // Also where one of the threads cannot be started: else the others would be waited for forever.
  ~State() {
    ending = true;
    ++job;
    job.notify_all();
  }

  // Does tasks of the present job until none is left.
  void take_part(std::uint32_t thread) {
    Ticket seen = ticket.load(std::memory_order_acquire);
    while (seen.next < seen.tasks) {
      const Work present = work.load(std::memory_order_relaxed);
      void *const place = context.load(std::memory_order_relaxed);
      Ticket claimed = seen;
      ++claimed.next;
      if (!ticket.compare_exchange_weak(seen, claimed, std::memory_order_acq_rel)) continue;
      present(place, seen.next, thread);
      const std::uint32_t count = done.fetch_add(1, std::memory_order_acq_rel) + 1;
      if (count == seen.tasks) done.notify_all();
      seen = ticket.load(std::memory_order_acquire);
    }
  }

  void serve(std::uint32_t thread) {
    for (std::uint32_t last = 0; !ending.load(std::memory_order_acquire);) {
      const auto is_new = [&] { return job.load(std::memory_order_acquire) != last; };
      if (!spin(is_new)) job.wait(last, std::memory_order_acquire);
      last = job.load(std::memory_order_acquire);
      take_part(thread);
    }
  }
};

Team::Team(std::uint32_t threads) : threads_(threads ? threads : 1) {
  state_ = std::make_unique<State>();
  for (std::uint32_t thread = 1; thread < threads_; ++thread)
    state_->others.emplace_back([state = state_.get(), thread] { state->serve(thread); });
}

Team::~Team() = default;

void Team::run(std::uint32_t tasks, Work work, void *context) {
  State &state = *state_;
  const bool alone = threads_ == 1 || tasks < 2 || tasks > UINT16_MAX;  // as a ticket counts
  if (alone || !state.busy.try_lock()) {
    for (std::uint32_t task = 0; task < tasks; ++task) work(context, task, 0);
    return;
  }
  const std::lock_guard hold(state.busy, std::adopt_lock);
  state.done.store(0, std::memory_order_relaxed);
  state.work.store(work, std::memory_order_relaxed);
  state.context.store(context, std::memory_order_relaxed);
  const std::uint32_t job = state.job.load(std::memory_order_relaxed) + 1;
  state.ticket.store({job, static_cast<std::uint16_t>(tasks), 0}, std::memory_order_release);
  state.job.store(job, std::memory_order_release);
  state.job.notify_all();
  state.take_part(0);
  const auto all_done = [&] { return state.done.load(std::memory_order_acquire) == tasks; };
  if (spin(all_done)) return;
  for (std::uint32_t count = state.done; count != tasks; count = state.done)
    state.done.wait(count, std::memory_order_acquire);
}

}  // namespace farmcpu::infer

#endif
