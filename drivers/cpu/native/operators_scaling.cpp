// From wide sums back to few bits: requantise, scaled_add, table. Intermediates are 64 bits wide.
#include <algorithm>

#include "operators.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

constexpr int64_t kMostFactor = (1 << 15) - 1;

struct Clip {
  int64_t shift, half, low, high;

  int32_t operator()(int64_t x) const {
    return static_cast<int32_t>(std::clamp((x + half) >> shift, low, high));
  }
};

Clip clip_of(const Operands &step) {
  const int64_t shift = step.number("shift", 0, 30);
  const Clip clip{shift, shift ? int64_t{1} << (shift - 1) : 0,
                  step.number("low", INT32_MIN, INT32_MAX),
                  step.number("high", INT32_MIN, INT32_MAX)};
  step.require(clip.low <= clip.high, "low is above high");
  return clip;
}

Kernel requantise(const Operands &step) {
  step.take(2);
  const Shape &shape = step.in(0).shape;
  step.require_shape(shape);
  const std::size_t axis = step.axis(step.number("axis", -6, 6, 1), shape.size());
  const int64_t count = step.in(1).size();
  const int64_t inner = count == 1 ? step.in(0).size() : strides_of(shape)[axis];
  step.require(count == 1 || count == shape[axis], "needs one multiplier a channel");
  return [=, clip = clip_of(step), pre_shift = step.number("pre_shift", 0, 31, 0),
          x = step.in(0).words.data(), m = step.in(1).words.data(), y = step.out().words.data(),
          size = step.in(0).size()] {
    for (int64_t first = 0; first < size; first += count * inner)
      for (int64_t c = 0; c < count; ++c)
        for (int64_t i = first + c * inner; i < first + (c + 1) * inner; ++i)
          y[i] = clip(int64_t{x[i] >> pre_shift} * m[c]);
  };
}

Kernel scaled_add(const Operands &step) {
  step.take(2);
  step.require_shape(step.in(0).shape);
  step.require_shape(step.in(1).shape);
  return [clip = clip_of(step), own = step.number("own", -kMostFactor, kMostFactor),
          theirs = step.number("theirs", -kMostFactor, kMostFactor),
          a = step.in(0).words.data(), b = step.in(1).words.data(), y = step.out().words.data(),
          n = step.out().size()] {
    for (int64_t i = 0; i < n; ++i) y[i] = clip(a[i] * own + b[i] * theirs);
  };
}

Kernel table(const Operands &step) {
  step.take(2);
  step.require_shape(step.in(0).shape);
  step.require(step.in(1).shape.size() == 1, "the table must have one dimension");
  return [x = step.in(0).words.data(), entries = step.in(1).words.data(),
          last = step.in(1).size() - 1, zero = step.number("zero", 0, 255, 128),
          y = step.out().words.data(), n = step.out().size()] {
    for (int64_t i = 0; i < n; ++i) y[i] = entries[std::clamp<int64_t>(x[i] + zero, 0, last)];
  };
}

}  // namespace

const Table &scaling_operators() {
  static const Table operators = {
      {"requantise", requantise}, {"scaled_add", scaled_add}, {"table", table}};
  return operators;
}

}  // namespace farmcpu
