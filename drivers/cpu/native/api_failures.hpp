// How what goes wrong behind the C ABI is told to its caller.
#pragma once

#include <new>
#include <string>

#include "operators.hpp"

namespace farmcpu {

// What `work` comes to, where it fails as the status that is returned.
template <typename Work>
farmcpu_status status_of(const Work &work) try {
  work();
  return FARMCPU_OK;
} catch (const Failure &failure) {
  return failure.status;
} catch (const std::bad_alloc &) {
  return FARMCPU_NO_MEMORY;
}

// What `make` makes; null where it fails, with the reason in `error`.
template <typename Make>
auto make_or_tell(farmcpu_status *status, char *error, std::size_t error_bytes, const Make &make)
    -> decltype(make()) {
  const auto tell = [=](farmcpu_status found, const std::string &message) {
    *status = found;
    if (error_bytes) error[message.copy(error, error_bytes - 1)] = '\0';
    return nullptr;
  };
  *status = FARMCPU_OK;
  try {
    return make();
  } catch (const Failure &failure) {
    return tell(failure.status, failure.what());
  } catch (const std::bad_alloc &) {
    return tell(FARMCPU_NO_MEMORY, "out of memory");
  }
}

}  // namespace farmcpu
