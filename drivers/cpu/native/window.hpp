// A window that moves over (n, c, ...) with one to three dimensions after the channels.
#pragma once

#include <array>
#include <cstdint>

#include "operators.hpp"

namespace farmcpu {

// Depth, rows, columns; dimensions that are not there have size and kernel 1.
using Extent = std::array<std::int64_t, 3>;

struct Window {
  std::int64_t n, c;
  Extent size, kernel, stride, before, after, dilation;
  Extent out{};

  // Positions that the kernel meets along a dimension.
  std::int64_t spread(std::size_t d) const { return 1 + (kernel[d] - 1) * dilation[d]; }
};

inline std::int64_t volume(const Extent &extent) { return extent[0] * extent[1] * extent[2]; }

// The window of a step over `x`, without `out`. `kernel` has one number a dimension.
Window read_window(const Operands &step, const Shape &x, const Numbers &kernel);

// How often it stands along each dimension; `rounds_up` lets the last stand out.
void count_positions(const Operands &step, Window &window, bool rounds_up);

// (n, channels, ...) with as many dimensions as `like`.
Shape shape_of(const Window &window, std::int64_t channels, const Shape &like);

}  // namespace farmcpu
