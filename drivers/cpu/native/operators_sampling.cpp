// upsample and resize: nearest neighbour, or linear with one rounding at the end.
#include <algorithm>
#include <numeric>

#include "division.hpp"
#include "layout.hpp"
#include "operators.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

using Wide = std::vector<int64_t>;

// One axis of a tensor seen as (outer, size, inner), stretched to (outer, length, inner).
struct Axis {
  int64_t outer, size, inner, length;

  // Source positions are whole multiples of 1 / this.
  int64_t denominator() const { return 2 * (length / std::gcd(size, length)); }

  // Interpolated, times the denominator. Pixels have their place in the middle.
  Wide stretch(const Wide &x) const {
    Wide y(static_cast<std::size_t>(outer * length * inner));
    const int64_t divisor = denominator(), common = std::gcd(size, length);
    auto to = y.begin();
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < length; ++i) {
        const int64_t place = (2 * i + 1) * (size / common) - length / common;
        const int64_t base = place < 0 ? -1 : place / divisor, right = place - base * divisor;
        const auto row = [&](int64_t at) {
          return x.begin() + (o * size + std::clamp<int64_t>(at, 0, size - 1)) * inner;
        };
        to = std::transform(row(base), row(base) + inner, row(base + 1), to,
                            [=](int64_t a, int64_t b) { return a * (divisor - right) + b * right; });
      }
    return y;
  }
};

std::vector<Axis> axes_of(const Shape &from, const Shape &to) {
  std::vector<Axis> axes;
  Shape shape = from;
  std::vector<std::size_t> order;  // what shrinks comes first: nothing between is the largest
  for (bool grows : {false, true})
    for (std::size_t d = 2; d < from.size(); ++d)
      if ((to[d] > from[d]) == grows) order.push_back(d);
  for (std::size_t d : order) {
    const int64_t inner = strides_of(shape)[d];
    axes.push_back({size_of(shape) / (inner * from[d]), from[d], inner, to[d]});
    shape[d] = to[d];
  }
  return axes;
}

Kernel resample_linearly(const Operands &step) {
  const auto axes = axes_of(step.in(0).shape, step.out().shape);
  int64_t divisor = 1, room = int64_t{1} << 62;
  for (const Axis &axis : axes) {
    step.require((room /= axis.denominator()) > 0, "the divisor would pass 64 bits");
    divisor *= axis.denominator();
  }
  const auto most = static_cast<std::uint64_t>(std::max(step.in(0).size(), step.out().size()));
  take_memory(*step.memory_left, 2 * most * sizeof(int64_t));  // as an axis is stretched
  return [=, x = &step.in(0), y = step.out().words.data()] {
    Wide values(x->words.begin(), x->words.end());
    for (const Axis &axis : axes) values = axis.stretch(values);
    for (std::size_t i = 0; i < values.size(); ++i)
      y[i] = static_cast<int32_t>(divide_half_up(values[i], divisor));
  };
}

Kernel resample(const Operands &step) {
  step.take(1);
  const Shape &from = step.in(0).shape, &to = step.out().shape;
  step.require(from.size() >= 3 && from.size() <= 5 && to.size() == from.size() &&
                   from[0] == to[0] && from[1] == to[1],
               "the shapes must be (n, c, ...)");
  if (step.number("linear", 0, 1)) return resample_linearly(step);
  const Numbers strides = strides_of(from);
  AxisOffsets axes(from.size());
  for (std::size_t d = 0; d < from.size(); ++d)
    for (int64_t i = 0; i < to[d]; ++i) axes[d].push_back(i * from[d] / to[d] * strides[d]);
  return [places = flatten_offsets(axes), x = step.in(0).words.data(),
          y = step.out().words.data()] {
    for (std::size_t i = 0; i < places.size(); ++i) y[i] = x[places[i]];
  };
}

}  // namespace

const Table &sampling_operators() {
  static const Table table = {{"upsample", resample}, {"resize", resample}};
  return table;
}

}  // namespace farmcpu
