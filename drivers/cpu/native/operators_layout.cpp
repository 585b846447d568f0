// Operators that only move elements.
#include <algorithm>
#include <cstring>

#include "layout.hpp"
#include "operators.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

constexpr int64_t kMost = 1 << 24;  // the largest dimension there is

// reshape, flatten, expand_dims, squeeze: the order of the elements stays.
Kernel copy(const Operands &step) {
  step.take(1, 2);
  step.require_same_size();
  return [x = &step.in(0), y = &step.out()] {
    std::memcpy(y->words.data(), x->words.data(), y->words.size() * sizeof(int32_t));
  };
}

Kernel gather(const Operands &step, const AxisOffsets &axes) {
  Shape shape;
  for (const Numbers &axis : axes) shape.push_back(static_cast<int64_t>(axis.size()));
  step.require_shape(shape);
  return [from = flatten_offsets(axes), x = step.in(0).words.data(), y = step.out().words.data()] {
    for (std::size_t i = 0; i < from.size(); ++i) y[i] = x[from[i]];
  };
}

// Offsets of the input's axes as they are: coordinate times stride.
AxisOffsets plain_axes(const Shape &shape) {
  const Numbers strides = strides_of(shape);
  AxisOffsets axes(shape.size());
  for (std::size_t d = 0; d < shape.size(); ++d)
    for (int64_t i = 0; i < shape[d]; ++i) axes[d].push_back(i * strides[d]);
  return axes;
}

Numbers repeat_each(const Numbers &axis, int64_t times) {
  Numbers repeated;
  for (int64_t offset : axis) repeated.insert(repeated.end(), times, offset);
  return repeated;
}

// How many elements an axis would get, before any table of that size is made.
void require_count(const Operands &step, std::size_t have, int64_t times) {
  step.require(times <= kMost / static_cast<int64_t>(have), "the output would be too large");
}

Kernel transpose(const Operands &step) {
  step.take(1);
  const AxisOffsets plain = plain_axes(step.in(0).shape);
  const std::size_t dimensions = plain.size();
  Numbers order = step.has("axes") ? step.numbers("axes") : Numbers{};
  if (order.empty())
    for (std::size_t d = dimensions; d-- > 0;) order.push_back(static_cast<int64_t>(d));
  step.require(order.size() == dimensions, "axes must name every axis");
  std::vector<bool> named(dimensions);
  AxisOffsets axes;
  for (int64_t number : order) {
    const std::size_t from = step.axis(number, dimensions);
    step.require(!named[from], "axes must name every axis once");
    named[from] = true;
    axes.push_back(plain[from]);
  }
  return gather(step, axes);
}

Kernel repeat(const Operands &step) {
  step.take(1);
  AxisOffsets axes = plain_axes(step.in(0).shape);
  const int64_t times = step.number("repeats", 1, kMost);
  Numbers &axis = axes[step.axis(step.number("axis", -6, 6, 0), axes.size())];
  require_count(step, axis.size(), times);
  axis = repeat_each(axis, times);
  return gather(step, axes);
}

Kernel tile(const Operands &step) {
  step.take(1);
  AxisOffsets axes = plain_axes(step.in(0).shape);
  Numbers times = step.numbers("reps");
  step.require(times.size() <= 6, "reps has more than six numbers");
  while (axes.size() < times.size()) axes.insert(axes.begin(), Numbers{0});
  while (times.size() < axes.size()) times.insert(times.begin(), 1);
  for (std::size_t d = 0; d < axes.size(); ++d) {
    step.require(times[d] >= 1, "reps must be at least 1");
    require_count(step, axes[d].size(), times[d]);
    const Numbers once = axes[d];
    for (int64_t k = 1; k < times[d]; ++k) axes[d].insert(axes[d].end(), once.begin(), once.end());
  }
  return gather(step, axes);
}

Kernel upsampling(const Operands &step) {
  step.take(1);
  AxisOffsets axes = plain_axes(step.in(0).shape);
  step.require(axes.size() == 4, "the input must be (n, c, h, w)");
  const int64_t scale = step.number("scale", 1, 4096);
  for (std::size_t d : {2, 3}) {
    require_count(step, axes[d].size(), scale);
    axes[d] = repeat_each(axes[d], scale);
  }
  return gather(step, axes);
}

Kernel slice_like(const Operands &step) {
  step.take(2);
  AxisOffsets axes = plain_axes(step.in(0).shape);
  step.require(step.out().shape.size() == axes.size(), "the output has other dimensions");
  for (std::size_t d = 0; d < axes.size(); ++d) {
    const auto size = static_cast<std::size_t>(step.out().shape[d]);
    step.require(size <= axes[d].size(), "the output is larger than the input");
    axes[d].resize(size);
  }
  return gather(step, axes);
}

Kernel strided_slice(const Operands &step) {
  step.take(1);
  const Shape &shape = step.in(0).shape;
  const Numbers begin = step.numbers("begin");
  const Numbers stride = step.has("stride") ? step.numbers("stride") : Numbers{};
  const AxisOffsets plain = plain_axes(shape);
  step.require(begin.size() <= shape.size() && stride.size() <= shape.size(), "too many axes");
  step.require(step.out().shape.size() == shape.size(), "the output has other dimensions");
  AxisOffsets axes(shape.size());
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const int64_t by = d < stride.size() ? stride[d] : 1;
    step.require(by != 0 && std::abs(by) <= kMost, "stride is out of range");
    int64_t at = d < begin.size() ? begin[d] : 0;
    step.require(std::abs(at) <= kMost, "begin is out of range");
    if (at < 0) at += shape[d];
    at = std::clamp(at, int64_t{by < 0 ? -1 : 0}, by < 0 ? shape[d] - 1 : shape[d]);
    for (int64_t i = 0; i < step.out().shape[d]; ++i, at += by) {
      step.require(at >= 0 && at < shape[d], "the slice leaves the input");
      axes[d].push_back(plain[d][at]);
    }
  }
  return gather(step, axes);
}

Kernel concatenate(const Operands &step) {
  step.take(1, 4096);
  Shape shape = step.in(0).shape;
  const std::size_t axis = step.axis(step.number("axis", -6, 6, 1), shape.size());
  shape[axis] = 0;
  for (const Value *input : step.inputs) {
    step.require(input->shape.size() == shape.size(), "the inputs differ in dimensions");
    shape[axis] += input->shape[axis];
    Shape rest = input->shape;
    rest[axis] = shape[axis];
    step.require(rest == shape, "the inputs differ off the axis");
  }
  step.require_shape(shape);
  const int64_t inner = strides_of(shape)[axis];
  return [inputs = step.inputs, y = &step.out(), row = inner * shape[axis], inner, axis] {
    int64_t at = 0;
    for (const Value *input : inputs) {
      const int64_t piece = inner * input->shape[axis], rows = input->size() / piece;
      for (int64_t r = 0; r < rows; ++r)
        std::memcpy(&y->words[r * row + at], &input->words[r * piece], piece * sizeof(int32_t));
      at += piece;
    }
  };
}

int64_t clamp_index(int32_t index, int64_t count) { return std::clamp<int64_t>(index, 0, count - 1); }

Kernel take_flat(const Operands &step, const Value *table, const Value *indices) {
  step.require_shape(indices->shape);
  return [table, indices, y = &step.out()] {
    for (std::size_t i = 0; i < y->words.size(); ++i)
      y->words[i] = table->words[clamp_index(indices->words[i], table->size())];
  };
}

Kernel take_rows(const Operands &step, std::size_t axis) {
  const Value *x = &step.in(0), *indices = &step.in(1);
  Shape shape(x->shape.begin(), x->shape.begin() + axis);
  shape.insert(shape.end(), indices->shape.begin(), indices->shape.end());
  shape.insert(shape.end(), x->shape.begin() + axis + 1, x->shape.end());
  step.require_shape(shape);
  const int64_t inner = strides_of(x->shape)[axis], count = x->shape[axis];
  const int64_t outer = x->size() / (inner * count);
  return [=, y = &step.out()] {
    int32_t *to = y->words.data();
    for (int64_t o = 0; o < outer; ++o)
      for (int32_t index : indices->words) {
        const int64_t row = o * count + clamp_index(index, count);
        std::memcpy(to, &x->words[row * inner], inner * sizeof(int32_t));
        to += inner;
      }
  };
}

Kernel take(const Operands &step) {
  step.take(2);
  if (!step.has("axis")) return take_flat(step, &step.in(0), &step.in(1));
  return take_rows(step, step.axis(step.number("axis", -6, 6), step.in(0).shape.size()));
}

Kernel cvm_lut(const Operands &step) {
  step.take(2);
  return take_flat(step, &step.in(1), &step.in(0));
}

}  // namespace

const Table &layout_operators() {
  static const Table table = {
      {"flatten", copy},           {"reshape", copy},           {"expand_dims", copy},
      {"squeeze", copy},           {"transpose", transpose},    {"repeat", repeat},
      {"tile", tile},              {"upsampling", upsampling},  {"slice_like", slice_like},
      {"slice", strided_slice},    {"strided_slice", strided_slice},
      {"concatenate", concatenate}, {"take", take},             {"cvm_lut", cvm_lut},
  };
  return table;
}

}  // namespace farmcpu
