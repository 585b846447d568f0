// Where each element of a tensor lies in another: one table of offsets an axis.
#pragma once

#include <cstdint>
#include <vector>

#include "operators.hpp"

namespace farmcpu {

using AxisOffsets = std::vector<Numbers>;

// A tensor has at most 2^30 elements, so 32 bits hold an offset.
using Offsets = std::vector<std::uint32_t>;

// The sum of one offset an axis, for every coordinate in row-major order.
inline Offsets flatten_offsets(const AxisOffsets &axes) {
  Offsets flat{0};
  for (const Numbers &axis : axes) {
    Offsets next;
    next.reserve(flat.size() * axis.size());
    for (std::uint32_t base : flat)
      for (std::int64_t offset : axis) next.push_back(base + static_cast<std::uint32_t>(offset));
    flat = std::move(next);
  }
  return flat;
}

}  // namespace farmcpu
