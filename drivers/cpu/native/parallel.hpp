// The same work on several threads; the first exception of any is thrown once all have ended.
#pragma once

#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace farmcpu {

#ifdef __wasm__

// One after another: here are no threads.
template <typename Work>
void run_parallel(std::uint32_t threads, Work work) {
  for (std::uint32_t thread = 0; thread < threads; ++thread) work(thread);
}

#else

template <typename Work>
void run_parallel(std::uint32_t threads, Work work) {
  if (threads == 1) return work(0u);
  std::exception_ptr failure;
  std::mutex lock;
  std::vector<std::jthread> others;
  const auto guarded = [&](std::uint32_t thread) {
    try {
      work(thread);
    } catch (...) {
      const std::lock_guard hold(lock);
      if (!failure) failure = std::current_exception();
    }
  };
  for (std::uint32_t thread = 1; thread < threads; ++thread) others.emplace_back(guarded, thread);
  guarded(0);
  others.clear();  // joins
  if (failure) std::rethrow_exception(failure);
}

#endif

}  // namespace farmcpu
