// The threads that share the work of inference; they sleep between the layers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace farmcpu::infer {

class Team {
 public:
  // `threads` includes the caller's own. Throws std::system_error if one cannot be started.
  explicit Team(std::uint32_t threads);
  ~Team();
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;

  std::uint32_t threads() const { return threads_; }

  // work(context, task, thread) for each task in 0 ... tasks-1 (at most 65,535), by whichever
  // thread comes first; ends when all have ended. `thread` < threads() is never the same for two
  // that run at once. While another caller is served, a caller does its work alone, as thread 0
  // (its scratch memory must be its own). The work must not throw nor call run().
  using Work = void (*)(void *context, std::uint32_t task, std::uint32_t thread);
  void run(std::uint32_t tasks, Work work, void *context);

  template <typename Callable>
  void run(std::uint32_t tasks, const Callable &callable) {
    run(tasks,
        [](void *context, std::uint32_t task, std::uint32_t thread) {
          (*static_cast<const Callable *>(context))(task, thread);
        },
        const_cast<Callable *>(&callable));
  }

 private:
  struct State;
  std::uint32_t threads_;
  std::unique_ptr<State> state_;
};

}  // namespace farmcpu::infer
