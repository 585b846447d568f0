// softmax and layer_norm in integers. Whoever makes a program proves that nothing passes 64 bits.
#include <algorithm>

#include "division.hpp"
#include "operators.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

constexpr int64_t kMostStandard = (1 << 15) - 1;

struct Softmax {
  int64_t size, inner, scale;
  const Value *table;

  int64_t power(int64_t below) const {
    const int64_t at = std::min(below, table->size() - 1);
    return std::max(table->words[static_cast<std::size_t>(at)], 0);
  }

  void run(const int32_t *x, int32_t *y) const {
    int64_t largest = INT32_MIN, total = 0;
    for (int64_t i = 0; i < size; ++i) largest = std::max<int64_t>(largest, x[i * inner]);
    for (int64_t i = 0; i < size; ++i) total += power(largest - x[i * inner]);
    for (int64_t i = 0; i < size; ++i)
      y[i * inner] = static_cast<int32_t>(
          divide_half_up(power(largest - x[i * inner]) * scale, std::max<int64_t>(total, 1)));
  }
};

Kernel softmax(const Operands &step) {
  step.take(2);
  const Shape &shape = step.in(0).shape;
  step.require_shape(shape);
  step.require(step.in(1).shape.size() == 1, "the table must have one dimension");
  const std::size_t axis = step.axis(step.number("axis", -6, 6, -1), shape.size());
  const Softmax line{shape[axis], strides_of(shape)[axis],
                     step.number("scale", 1, (1 << 15) - 1, 255), &step.in(1)};
  return [line, x = step.in(0).words.data(), y = step.out().words.data(),
          outer = step.in(0).size() / (line.size * line.inner)] {
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t k = 0; k < line.inner; ++k) {
        const int64_t first = o * line.size * line.inner + k;
        line.run(x + first, y + first);
      }
  };
}

int64_t root_of(int64_t value) {
  int64_t root = 0;
  for (int64_t bit = int64_t{1} << 30; bit; bit >>= 1)
    if ((root | bit) * (root | bit) <= value) root |= bit;
  return root;
}

struct LayerNorm {
  int64_t count, fraction, shift, low, high;
  const int32_t *gamma, *beta;

  // Deviations are taken `count` times as large, so that the mean needs no rounding.
  void run(const int32_t *x, int32_t *y) const {
    int64_t sum = 0, squares = 0;
    for (int64_t i = 0; i < count; ++i) sum += x[i];
    for (int64_t i = 0; i < count; ++i) squares += (count * x[i] - sum) * (count * x[i] - sum);
    const int64_t spread = std::max<int64_t>(root_of(squares / count), 1);
    const int64_t half = shift ? int64_t{1} << (shift - 1) : 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t standard =
          std::clamp(divide_half_up((count * x[i] - sum) << fraction, spread), -kMostStandard,
                     kMostStandard);
      const int64_t scaled = standard * gamma[i] + beta[i];
      y[i] = static_cast<int32_t>(std::clamp((scaled + half) >> shift, low, high));
    }
  }
};

Kernel layer_norm(const Operands &step) {
  step.take(3);
  const Shape &shape = step.in(0).shape;
  const int64_t count = shape.back();
  step.require_shape(shape);
  step.require(step.in(1).shape == Shape{count} && step.in(2).shape == Shape{count},
               "gamma and beta must be one number an element of the last dimension");
  const LayerNorm line{count, step.number("fraction", 0, 15, 10), step.number("shift", 0, 30),
                       step.number("low", INT32_MIN, INT32_MAX),
                       step.number("high", INT32_MIN, INT32_MAX), step.in(1).words.data(),
                       step.in(2).words.data()};
  step.require(line.low <= line.high, "low is above high");
  return [line, x = step.in(0).words.data(), y = step.out().words.data(),
          rows = step.in(0).size() / count] {
    for (int64_t r = 0; r < rows; ++r) line.run(x + r * line.count, y + r * line.count);
  };
}

}  // namespace

const Table &normalisation_operators() {
  static const Table table = {{"softmax", softmax}, {"layer_norm", layer_norm}};
  return table;
}

}  // namespace farmcpu
