// A mutex, which has nothing to do where there is one thread alone (WebAssembly).
#pragma once

#include <mutex>

namespace farmcpu {

#ifdef __wasm__
struct Mutex {
  void lock() {}
  void unlock() {}
};
#else
using Mutex = std::mutex;
#endif

}  // namespace farmcpu
