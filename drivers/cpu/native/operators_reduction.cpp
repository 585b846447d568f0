// Operators that combine many elements into one: dense, batch_matmul, sum, max.
#include <algorithm>

#include "isa.hpp"
#include "layout.hpp"
#include "operators.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

Kernel dense(const Operands &step) {
  step.take(2, 3);
  const Shape &x = step.in(0).shape, &w = step.in(1).shape;
  step.require(x.size() == 2 && w.size() == 2 && x[1] == w[1], "needs (n, k) and (units, k)");
  step.require_shape({x[0], w[0]});
  return [rows = x[0], units = w[0], k = x[1], bias = bias_of(step, w[0]),
          a = step.in(0).words.data(), b = step.in(1).words.data(), y = step.out().words.data(),
          dot = kernels().dot] {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t u = 0; u < units; ++u)
        y[r * units + u] = dot(a + r * k, b + u * k, k) + (bias ? bias[u] : 0);
  };
}

// Products of matrices; the longer of a sum's terms and a row's columns lies innermost.
struct Matmul {
  int64_t rows, terms, columns;
  bool turned;  // right: (columns, terms)

  const int32_t *right_at(const int32_t *right, int64_t term, int64_t column) const {
    return right + (turned ? column * terms + term : term * columns + column);
  }

  void add_rows(const int32_t *left, const int32_t *right, int32_t *sums) const {
    const auto stride = static_cast<std::size_t>(turned ? terms : 1);
    std::fill_n(sums, rows * columns, 0);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < terms; ++k)
        kernels().multiply_add(sums + r * columns, right_at(right, k, 0), left[r * terms + k],
                               static_cast<std::size_t>(columns), stride);
  }

  void sum_columns(const int32_t *left, const int32_t *right, int32_t *sums) const {
    std::vector<int32_t> column(static_cast<std::size_t>(terms));
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t k = 0; k < terms; ++k)
        column[static_cast<std::size_t>(k)] = *right_at(right, k, c);
      for (int64_t r = 0; r < rows; ++r)
        sums[r * columns + c] = kernels().dot(left + r * terms, column.data(), column.size());
    }
  }

  void run(const int32_t *left, const int32_t *right, int32_t *sums) const {
    columns < terms ? sum_columns(left, right, sums) : add_rows(left, right, sums);
  }
};

Kernel batch_matmul(const Operands &step) {
  step.take(2);
  const Shape &a = step.in(0).shape, &b = step.in(1).shape;
  const bool turned = step.number("transpose_b", 0, 1, 0) != 0;
  const std::size_t d = a.size();
  step.require(d >= 2 && b.size() == d && std::equal(a.begin(), a.end() - 2, b.begin()),
               "the inputs differ before their last two dimensions");
  const Matmul one{a[d - 2], a[d - 1], turned ? b[d - 2] : b[d - 1], turned};
  step.require(one.terms == (turned ? b[d - 1] : b[d - 2]), "the inputs do not fit");
  Shape shape = a;
  shape[d - 1] = one.columns;
  step.require_shape(shape);
  return [one, batches = step.in(0).size() / (one.rows * one.terms),
          x = step.in(0).words.data(), z = step.in(1).words.data(), y = step.out().words.data()] {
    for (int64_t n = 0; n < batches; ++n)
      one.run(x + n * one.rows * one.terms, z + n * one.terms * one.columns,
              y + n * one.rows * one.columns);
  };
}

using Combine = int32_t (*)(int32_t, int32_t);

// Axes that are reduced, by position.
std::vector<bool> reduced_axes(const Operands &step, std::size_t dimensions) {
  std::vector<bool> reduced(dimensions);
  for (int64_t number : step.has("axis") ? step.numbers("axis") : Numbers{}) {
    const std::size_t axis = step.axis(number, dimensions);
    step.require(!reduced[axis], "axis names one twice");
    reduced[axis] = true;
  }
  if (step.number("exclude", 0, 1, 0)) reduced.flip();
  return reduced;
}

Kernel reduce_all(const Operands &step, Combine combine) {
  step.require(step.out().size() == 1, "the output must be one number");
  return [x = &step.in(0), y = step.out().words.data(), combine] {
    int32_t sum = 0;
    for (int32_t value : x->words) sum = combine(sum, value);
    y[0] = sum;
  };
}

// Offsets where each output begins. As in the official runtime, the output's dimensions other
// than 1 are matched from the last to the kept input axes *including* those of size 1; where
// a kept axis of size 1 lies between others this reads other elements than one would expect,
// and consensus is what the runtime does.
Offsets start_offsets(const Operands &step, const std::vector<bool> &reduced) {
  const Shape &shape = step.in(0).shape;
  const Numbers strides = strides_of(shape);
  Numbers kept_strides, sizes;
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (!reduced[d]) kept_strides.push_back(strides[d]);
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (!reduced[d] && shape[d] != 1) sizes.push_back(shape[d]);
  AxisOffsets axes;
  const std::size_t skipped = kept_strides.size() - sizes.size();
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    axes.emplace_back();
    for (int64_t i = 0; i < sizes[k]; ++i) axes.back().push_back(i * kept_strides[k + skipped]);
  }
  return flatten_offsets(axes);
}

Kernel reduce(const Operands &step, Combine combine) {
  step.take(1);
  const Shape &shape = step.in(0).shape;
  const auto reduced = reduced_axes(step, shape.size());
  if (std::none_of(reduced.begin(), reduced.end(), [](bool r) { return r; })) {
    if (!step.number("exclude", 0, 1, 0)) return reduce_all(step, combine);
    step.require_same_size();
    return [x = &step.in(0), y = &step.out()] {
      std::copy(x->words.begin(), x->words.end(), y->words.begin());
    };
  }
  const Numbers strides = strides_of(shape);
  AxisOffsets axes;
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (reduced[d]) {
      axes.emplace_back();
      for (int64_t i = 0; i < shape[d]; ++i) axes.back().push_back(i * strides[d]);
    }
  auto starts = start_offsets(step, reduced);
  step.require(step.out().size() == static_cast<int64_t>(starts.size()),
               "the output does not follow from the axes");
  return [starts = std::move(starts), offsets = flatten_offsets(axes),
          x = step.in(0).words.data(), y = step.out().words.data(), combine] {
    for (std::size_t i = 0; i < starts.size(); ++i) {
      int32_t sum = x[starts[i]];
      for (std::size_t k = 1; k < offsets.size(); ++k) sum = combine(sum, x[starts[i] + offsets[k]]);
      y[i] = sum;
    }
  };
}

Kernel sum(const Operands &step) {
  return reduce(step, [](int32_t a, int32_t b) { return a + b; });
}

Kernel max(const Operands &step) {
  return reduce(step, [](int32_t a, int32_t b) { return std::max(a, b); });
}

}  // namespace

const Table &reduction_operators() {
  static const Table table = {
      {"dense", dense}, {"batch_matmul", batch_matmul}, {"sum", sum}, {"max", max},
  };
  return table;
}

}  // namespace farmcpu
