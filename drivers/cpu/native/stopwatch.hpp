// Wall time, lap by lap.
#pragma once

#include <chrono>

namespace farmcpu {

class Stopwatch {
 public:
  // Seconds since the last lap, or since the watch was made.
  double lap() {
    const auto now = Clock::now();
    const std::chrono::duration<double> passed = now - last_;
    last_ = now;
    return passed.count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_ = Clock::now();
};

}  // namespace farmcpu
