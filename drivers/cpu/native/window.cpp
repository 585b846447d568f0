#include "window.hpp"

namespace farmcpu {
namespace {

constexpr std::int64_t kMost = 4096;

// One number a dimension, of which one may stand for all; the dimensions that are not there get
// `otherwise`.
Extent extent_of(const Operands &step, const Numbers &numbers, std::size_t count,
                 std::int64_t low, std::int64_t otherwise) {
  step.require(numbers.size() == count || numbers.size() == 1, "a window's numbers do not fit");
  Extent extent{otherwise, otherwise, otherwise};
  for (std::size_t d = 0; d < count; ++d) {
    extent[3 - count + d] = numbers.size() == 1 ? numbers[0] : numbers[d];
    step.require(extent[3 - count + d] >= low && extent[3 - count + d] <= kMost,
                 "a window's number is out of range");
  }
  return extent;
}

Extent attribute_of(const Operands &step, const char *name, std::size_t count, std::int64_t low) {
  const Numbers none{low};
  return extent_of(step, step.has(name) ? step.numbers(name) : none, count, low, low);
}

}  // namespace

Window read_window(const Operands &step, const Shape &x, const Numbers &kernel) {
  step.require(x.size() >= 3 && x.size() <= 5, "the input must be (n, c, ...)");
  const std::size_t count = x.size() - 2;
  step.require(kernel.size() == count, "the window must have one number a dimension");
  Window win{x[0], x[1], {1, 1, 1}, extent_of(step, kernel, count, 1, 1),
             attribute_of(step, "strides", count, 1), {}, {},
             attribute_of(step, "dilation", count, 1)};
  for (std::size_t d = 0; d < count; ++d) win.size[3 - count + d] = x[2 + d];
  Numbers padding = step.has("padding") ? step.numbers("padding") : Numbers{0};
  const bool uneven = padding.size() == 2 * count;
  const auto middle = padding.begin() + static_cast<std::ptrdiff_t>(uneven ? count : 0);
  win.after = extent_of(step, Numbers(middle, padding.end()), count, 0, 0);
  if (uneven) padding.resize(count);
  win.before = extent_of(step, padding, count, 0, 0);
  return win;
}

void count_positions(const Operands &step, Window &win, bool rounds_up) {
  for (std::size_t d = 0; d < 3; ++d) {
    const std::int64_t room = win.size[d] + win.before[d] + win.after[d] - win.spread(d);
    step.require(room >= 0, "the window is larger than the padded input");
    win.out[d] = (room + (rounds_up ? win.stride[d] - 1 : 0)) / win.stride[d] + 1;
  }
}

Shape shape_of(const Window &win, std::int64_t channels, const Shape &like) {
  Shape shape{win.n, channels};
  shape.insert(shape.end(), win.out.end() - static_cast<std::ptrdiff_t>(like.size() - 2),
               win.out.end());
  return shape;
}

}  // namespace farmcpu
