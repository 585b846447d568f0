// pad, gather, sort, argsort.
#include <algorithm>
#include <numeric>

#include "layout.hpp"
#include "operators.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

enum PadMode { kConstant, kEdge, kReflect };

// Where a position of the padded axis comes from.
int64_t source_of(int64_t position, int64_t size, int64_t mode) {
  if (mode == kEdge) return std::clamp<int64_t>(position, 0, size - 1);
  if (position < 0) return -position;
  return position < size ? position : 2 * (size - 1) - position;
}

Kernel pad(const Operands &step) {
  step.take(1);
  const Shape &from = step.in(0).shape, &to = step.out().shape;
  const Numbers width = step.numbers("pad_width");
  const int64_t mode = step.number("mode", kConstant, kReflect);
  const auto value = static_cast<int32_t>(step.number("value", INT32_MIN, INT32_MAX, 0));
  step.require(width.size() == 2 * from.size(), "pad_width must have two numbers a dimension");
  const Numbers from_strides = strides_of(from), to_strides = strides_of(to);
  Shape shape = from;
  AxisOffsets sources(from.size()), places(from.size());
  for (std::size_t d = 0; d < from.size(); ++d) {
    const int64_t before = width[d], after = width[from.size() + d];
    step.require(std::min(before, after) >= 0 && std::max(before, after) <= 4096,
                 "pad_width is out of range");
    step.require(mode != kReflect || std::max(before, after) < from[d],
                 "the padding is too wide to be reflected");
    shape[d] += before + after;
    for (int64_t i = -before; i < from[d] + after; ++i)
      sources[d].push_back(source_of(i, from[d], mode) * from_strides[d]);
  }
  step.require_shape(shape);
  for (std::size_t d = 0; d < from.size(); ++d)
    for (int64_t i = 0; i < from[d]; ++i) places[d].push_back((i + width[d]) * to_strides[d]);
  const int32_t *x = step.in(0).words.data();
  if (mode == kConstant)
    return [places = flatten_offsets(places), x, y = &step.out(), value] {
      std::fill(y->words.begin(), y->words.end(), value);
      for (std::size_t i = 0; i < places.size(); ++i) y->words[places[i]] = x[i];
    };
  return [sources = flatten_offsets(sources), x, y = step.out().words.data()] {
    for (std::size_t i = 0; i < sources.size(); ++i) y[i] = x[sources[i]];
  };
}

// A tensor seen as (outer, size, inner) about an axis.
struct Lines {
  int64_t outer, size, inner;

  explicit Lines(const Shape &shape, std::size_t axis)
      : outer(1), size(shape[axis]), inner(strides_of(shape)[axis]) {
    outer = size_of(shape) / (size * inner);
  }
};

Kernel gather(const Operands &step) {
  step.take(2);
  Shape shape = step.in(0).shape;
  const std::size_t axis = step.axis(step.number("axis", -6, 6), shape.size());
  step.require(step.in(1).shape.size() == shape.size(), "the indices have other dimensions");
  shape[axis] = step.in(1).shape[axis];
  step.require(step.in(1).shape == shape, "the indices differ off the axis");
  step.require_shape(shape);
  return [from = Lines(step.in(0).shape, axis), to = Lines(shape, axis),
          x = step.in(0).words.data(), at = step.in(1).words.data(),
          y = step.out().words.data()] {
    for (int64_t o = 0; o < to.outer; ++o)
      for (int64_t i = 0; i < to.size; ++i)
        for (int64_t k = 0; k < to.inner; ++k) {
          const int64_t here = (o * to.size + i) * to.inner + k;
          const int64_t index = std::clamp<int64_t>(at[here], 0, from.size - 1);
          y[here] = x[(o * from.size + index) * from.inner + k];
        }
  };
}

// Sorts the positions of each line; `write` gets the target, the line and a position.
template <typename Write>
Kernel sort_lines(const Operands &step, Write write) {
  step.take(1);
  const Shape &shape = step.in(0).shape;
  step.require_shape(shape);
  const std::size_t axis = step.axis(step.number("axis", -6, 6, -1), shape.size());
  const bool ascends = step.number("is_ascend", 0, 1, 1) != 0;
  return [lines = Lines(shape, axis), ascends, write, x = step.in(0).words.data(),
          y = step.out().words.data()] {
    std::vector<int32_t> order(static_cast<std::size_t>(lines.size));
    for (int64_t o = 0; o < lines.outer; ++o)
      for (int64_t k = 0; k < lines.inner; ++k) {
        const int64_t first = o * lines.size * lines.inner + k;
        const auto at = [&](int64_t i) { return x[first + i * lines.inner]; };
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
          return ascends ? at(a) < at(b) : at(a) > at(b);
        });
        for (int64_t i = 0; i < lines.size; ++i) {
          const int32_t from = order[static_cast<std::size_t>(i)];
          y[first + i * lines.inner] = write(at(from), from);
        }
      }
  };
}

Kernel sort(const Operands &step) {
  return sort_lines(step, [](int32_t value, int32_t) { return value; });
}

Kernel argsort(const Operands &step) {
  return sort_lines(step, [](int32_t, int32_t place) { return place; });
}

}  // namespace

const Table &arrangement_operators() {
  static const Table table = {
      {"pad", pad}, {"gather", gather}, {"sort", sort}, {"argsort", argsort}};
  return table;
}

}  // namespace farmcpu
