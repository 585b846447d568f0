// The largest of a window, and its average, in one to three dimensions.
#include <algorithm>

#include "division.hpp"
#include "window.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

// Calls `visit` with each element of the window at a position that lies in the input.
template <typename Visit>
void visit_window(const Window &win, const int32_t *x, const Extent &position, Visit visit) {
  Extent first{}, last{};
  for (std::size_t d = 0; d < 3; ++d) {
    const int64_t begin = position[d] * win.stride[d] - win.before[d];
    first[d] = std::max<int64_t>(begin, 0);
    last[d] = std::min(begin + win.kernel[d], win.size[d]);
  }
  for (int64_t p = first[0]; p < last[0]; ++p)
    for (int64_t r = first[1]; r < last[1]; ++r)
      for (int64_t q = first[2]; q < last[2]; ++q)
        visit(x[(p * win.size[1] + r) * win.size[2] + q]);
}

Window pool_window(const Operands &step) {
  step.take(1);
  step.require(!step.has("dilation"), "a pool has no dilation");
  const Shape &x = step.in(0).shape;
  Numbers size = step.numbers("pool_size");
  step.require(x.size() >= 3, "the input must be (n, c, ...)");
  if (size.size() == 1) size.resize(x.size() - 2, size[0]);
  Window win = read_window(step, x, size);
  count_positions(step, win, step.number("ceil_mode", 0, 1, 0) != 0);
  step.require_shape(shape_of(win, win.c, x));
  return win;
}

template <typename PoolOne>
Kernel pool(const Operands &step, PoolOne pool_one) {
  return [win = pool_window(step), from = step.in(0).words.data(), y = step.out().words.data(),
          pool_one] {
    int32_t *to = y;
    for (int64_t image = 0; image < win.n * win.c; ++image)
      for (int64_t p = 0; p < win.out[0]; ++p)
        for (int64_t r = 0; r < win.out[1]; ++r)
          for (int64_t q = 0; q < win.out[2]; ++q)
            *to++ = pool_one(win, from + image * volume(win.size), Extent{p, r, q});
  };
}

Kernel max_pool(const Operands &step) {
  return pool(step, [](const Window &win, const int32_t *x, const Extent &position) {
    int32_t highest = INT32_MIN;
    visit_window(win, x, position, [&](int32_t value) { highest = std::max(highest, value); });
    return highest;
  });
}

Kernel avg_pool(const Operands &step) {
  const bool counts_padding = step.number("count_include_pad", 0, 1, 1) != 0;
  return pool(step, [=](const Window &win, const int32_t *x, const Extent &position) {
    int64_t sum = 0, inside = 0;
    visit_window(win, x, position, [&](int32_t value) { sum += value, ++inside; });
    const int64_t count = counts_padding ? volume(win.kernel) : std::max<int64_t>(inside, 1);
    return static_cast<int32_t>(divide_half_up(sum, count));
  });
}

}  // namespace

const Table &pooling_operators() {
  static const Table table = {
      {"max_pool1d", max_pool}, {"max_pool2d", max_pool}, {"max_pool3d", max_pool},
      {"avg_pool1d", avg_pool}, {"avg_pool2d", avg_pool}, {"avg_pool3d", avg_pool},
  };
  return table;
}

}  // namespace farmcpu
