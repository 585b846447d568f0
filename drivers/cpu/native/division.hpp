// Division as the extension operators round it.
#pragma once

#include <cstdint>

namespace farmcpu {

// The quotient rounded to the nearest whole number, halves up. `divisor` is above 0.
inline std::int64_t divide_half_up(std::int64_t dividend, std::int64_t divisor) {
  const std::int64_t twice = 2 * dividend + divisor, quotient = twice / (2 * divisor);
  return quotient - (twice % (2 * divisor) < 0);
}

}  // namespace farmcpu
