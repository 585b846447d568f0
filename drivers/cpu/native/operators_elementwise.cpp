#include <algorithm>
#include <cstdlib>

#include "layout.hpp"
#include "operators.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

template <typename Map>
Kernel map_each(const Operands &step, Map map) {
  step.take(1);
  step.require_shape(step.in(0).shape);
  return [x = step.in(0).words.data(), y = step.out().words.data(), n = step.out().size(), map] {
    for (int64_t i = 0; i < n; ++i) y[i] = map(x[i]);
  };
}

Kernel relu(const Operands &step) {
  return map_each(step, [](int32_t x) { return std::max(x, 0); });
}

Kernel absolute(const Operands &step) {
  return map_each(step, [](int32_t x) { return x < 0 ? -x : x; });
}

Kernel negative(const Operands &step) {
  return map_each(step, [](int32_t x) { return -x; });
}

Kernel clip(const Operands &step) {
  const auto low = static_cast<int32_t>(step.number("a_min", INT32_MIN, INT32_MAX));
  const auto high = static_cast<int32_t>(step.number("a_max", INT32_MIN, INT32_MAX));
  step.require(low <= high, "a_min is above a_max");
  return map_each(step, [=](int32_t x) { return std::clamp(x, low, high); });
}

int32_t bound_of(int64_t precision) { return static_cast<int32_t>((int64_t{1} << (precision - 1)) - 1); }

Kernel cvm_clip(const Operands &step) {
  const int32_t bound = bound_of(step.number("precision", 1, 32));
  return map_each(step, [=](int32_t x) { return std::clamp(x, -bound, bound); });
}

// Halves go up; the runtime's own corners are kept: a shift of 31 or more only leaves the
// sign, and there is no clip where precision and shift together reach 32.
Kernel cvm_right_shift(const Operands &step) {
  const int64_t precision = step.number("precision", 1, 32);
  const int64_t bits = step.number("shift_bit", 1, 32);
  const int32_t bound = bound_of(precision);
  if (bound == 0) return map_each(step, [](int32_t) { return 0; });
  if (bits >= 31) return map_each(step, [](int32_t x) { return x >> 31; });
  const auto halved = [bits](int32_t x) { return ((x >> (bits - 1)) + 1) >> 1; };
  if (precision + bits >= 32) return map_each(step, halved);
  return map_each(step, [=](int32_t x) { return std::clamp(halved(x), -bound, bound); });
}

Kernel cvm_precision(const Operands &step) {
  return map_each(step, [](int32_t x) {
    int64_t size = std::llabs(int64_t{x});
    int32_t bits = 1;
    while (size >>= 1) ++bits;
    return bits;
  });
}

Numbers broadcast_axis(const Operands &step, int64_t size, int64_t out, int64_t stride) {
  step.require(size == out || size == 1, "the inputs cannot be broadcast");
  Numbers offsets(static_cast<std::size_t>(out));
  for (int64_t i = 0; i < out; ++i) offsets[i] = size == 1 ? 0 : i * stride;
  return offsets;
}

Offsets broadcast_offsets(const Operands &step, const Shape &from, const Shape &to) {
  step.require(from.size() <= to.size(), "an input has more dimensions than the output");
  const std::size_t extra = to.size() - from.size();
  const Numbers strides = strides_of(from);
  AxisOffsets axes;
  for (std::size_t d = 0; d < to.size(); ++d)
    axes.push_back(d < extra ? Numbers(static_cast<std::size_t>(to[d]), 0)
                             : broadcast_axis(step, from[d - extra], to[d], strides[d - extra]));
  return flatten_offsets(axes);
}

template <typename Combine>
Kernel combine_each(const Operands &step, Combine combine) {
  step.take(2);
  const int32_t *a = step.in(0).words.data(), *b = step.in(1).words.data();
  int32_t *y = step.out().words.data();
  const int64_t n = step.out().size();
  if (step.in(0).shape == step.in(1).shape) {
    step.require_shape(step.in(0).shape);
    return [=] {
      for (int64_t i = 0; i < n; ++i) y[i] = combine(a[i], b[i]);
    };
  }
  return [=, at_a = broadcast_offsets(step, step.in(0).shape, step.out().shape),
          at_b = broadcast_offsets(step, step.in(1).shape, step.out().shape)] {
    for (int64_t i = 0; i < n; ++i) y[i] = combine(a[at_a[i]], b[at_b[i]]);
  };
}

Kernel add(const Operands &step) {
  return combine_each(step, [](int32_t a, int32_t b) { return a + b; });
}

Kernel subtract(const Operands &step) {
  return combine_each(step, [](int32_t a, int32_t b) { return a - b; });
}

Kernel multiply(const Operands &step) {
  return combine_each(step, [](int32_t a, int32_t b) { return a * b; });
}

Kernel maximum(const Operands &step) {
  return combine_each(step, [](int32_t a, int32_t b) { return std::max(a, b); });
}

Kernel divide(const Operands &step) {  // towards zero; by zero is zero
  return combine_each(step, [](int32_t a, int32_t b) {
    return b == 0 ? 0 : static_cast<int32_t>(int64_t{a} / b);
  });
}

Kernel greater(const Operands &step) {
  return combine_each(step, [](int32_t a, int32_t b) { return int32_t{a > b}; });
}

Kernel elementwise(const Operands &step, Bind bind_broadcast) {
  step.take(2);
  step.require(step.in(0).shape == step.in(1).shape, "the inputs differ in shape");
  return bind_broadcast(step);
}

Kernel elemwise_add(const Operands &step) { return elementwise(step, add); }
Kernel elemwise_sub(const Operands &step) { return elementwise(step, subtract); }

Kernel where(const Operands &step) {
  step.take(3);
  const Shape &shape = step.out().shape;
  if (step.in(0).shape != shape && step.in(0).shape.size() == 1)
    throw Failure(FARMCPU_NOT_SUPPORTED, "operator where by rows is not available on the CPU");
  for (const Value *input : step.inputs)
    step.require(input->shape == shape, "the inputs differ in shape");
  return [c = step.in(0).words.data(), a = step.in(1).words.data(), b = step.in(2).words.data(),
          y = step.out().words.data(), n = step.out().size()] {
    for (int64_t i = 0; i < n; ++i) y[i] = c[i] ? a[i] : b[i];
  };
}

}  // namespace

const Table &elementwise_operators() {
  static const Table table = {
      {"relu", relu},
      {"abs", absolute},
      {"negative", negative},
      {"clip", clip},
      {"cvm_clip", cvm_clip},
      {"cvm_right_shift", cvm_right_shift},
      {"cvm_precision", cvm_precision},
      {"elemwise_add", elemwise_add},
      {"elemwise_sub", elemwise_sub},
      {"broadcast_add", add},
      {"broadcast_sub", subtract},
      {"broadcast_mul", multiply},
      {"broadcast_max", maximum},
      {"broadcast_div", divide},
      {"broadcast_greater", greater},
      {"where", where},
  };
  return table;
}

}  // namespace farmcpu
