// get_valid_counts and non_max_suppression. A row is (class, score, left, top, right, bottom);
// a negative class marks an empty row.
#include <algorithm>
#include <numeric>

#include "operators.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

constexpr int64_t kRow = 6;  // numbers in a row of non_max_suppression
__extension__ typedef __int128 Wide;

Kernel get_valid_counts(const Operands &step) {
  step.require(step.inputs.size() == 1 && step.outputs.size() == 2, "needs 1 input, 2 outputs");
  const Shape &shape = step.in(0).shape;
  step.require(shape.size() == 3 && shape[2] >= 2, "the input must be (batch, n, 2 or more)");
  Value &counts = *step.outputs[0], &kept = *step.outputs[1];
  step.require(counts.shape == Shape{shape[0]} && kept.shape == shape, "the outputs do not fit");
  const auto threshold =
      static_cast<int32_t>(step.number("score_threshold", INT32_MIN, INT32_MAX, 0));
  return [=, x = step.in(0).words.data(), counts = &counts, kept = &kept] {
    std::fill(kept->words.begin(), kept->words.end(), -1);
    for (int64_t b = 0; b < shape[0]; ++b) {
      int32_t *to = &kept->words[b * shape[1] * shape[2]];
      int32_t count = 0;
      for (int64_t r = 0; r < shape[1]; ++r) {
        const int32_t *row = x + (b * shape[1] + r) * shape[2];
        if (row[1] <= threshold) continue;
        to = std::copy(row, row + shape[2], to);
        ++count;
      }
      counts->words[b] = count;
    }
  };
}

// Differences wrap at 32 bits; areas are exact.
Wide area_of(int32_t left, int32_t top, int32_t right, int32_t bottom) {
  return Wide{right - left} * Wide{bottom - top};
}

// Intersection over union of two rows' boxes, in percent.
Wide overlap_percent(const int32_t *a, const int32_t *b) {
  const Wide areas = area_of(a[2], a[3], a[4], a[5]) + area_of(b[2], b[3], b[4], b[5]);
  const int32_t width = std::max(0, std::min(a[4], b[4]) - std::max(a[2], b[2]));
  const int32_t height = std::max(0, std::min(a[5], b[5]) - std::max(a[3], b[3]));
  const Wide shared = Wide{width} * Wide{height}, both = areas - shared;
  if (areas <= 0 || both <= 0) return 0;
  if (shared > INT64_MAX / 100) return shared / std::max<Wide>(both / 100, 1);
  return shared * 100 / both;
}

struct Suppression {
  int64_t rows, threshold, top_k, most;
  bool force;

  // Rows that are kept, by falling score, of the first `valid`.
  std::vector<int64_t> run(const int32_t *x, int64_t valid) const {
    std::vector<int64_t> order(static_cast<std::size_t>(valid)), kept;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [x](int64_t a, int64_t b) {
      return x[a * kRow + 1] > x[b * kRow + 1];
    });
    if (0 <= top_k && top_k < valid) order.resize(static_cast<std::size_t>(top_k));
    std::vector<bool> removed(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (removed[i]) continue;
      if (x[order[i] * kRow] >= 0) kept.push_back(order[i]);
      remove_overlapping(x, order, i, removed);
    }
    if (most > 0 && kept.size() > static_cast<std::size_t>(most)) kept.resize(most);
    return kept;
  }

 private:
  void remove_overlapping(const int32_t *x, const std::vector<int64_t> &order, std::size_t i,
                          std::vector<bool> &removed) const {
    const int32_t *row = x + order[i] * kRow;
    for (std::size_t k = i + 1; k < order.size(); ++k) {
      const int32_t *other = x + order[k] * kRow;
      if (other[0] < 0) return;
      if ((force || row[0] == other[0]) && overlap_percent(row, other) >= threshold)
        removed[k] = true;
    }
  }
};

Kernel non_max_suppression(const Operands &step) {
  step.take(2);
  const Shape &shape = step.in(0).shape;
  step.require(shape.size() == 3 && shape[2] == kRow, "the input must be (1, n, 6)");
  step.require(step.in(1).shape == Shape{shape[0]}, "needs one count a batch");
  step.require_shape(shape);
  if (shape[0] != 1)
    throw Failure(FARMCPU_NOT_SUPPORTED, "non_max_suppression of several batches");
  const Suppression suppression{shape[1], step.number("iou_threshold", 1, INT32_MAX, 50),
                                step.number("top_k", INT32_MIN, INT32_MAX, -1),
                                step.number("max_output_size", INT32_MIN, INT32_MAX, -1),
                                step.number("force_suppress", 0, 1, 0) != 0};
  return [suppression, x = step.in(0).words.data(), count = step.in(1).words.data(),
          y = &step.out()] {
    std::fill(y->words.begin(), y->words.end(), -1);
    const int64_t valid = std::clamp<int64_t>(*count, 0, suppression.rows);
    auto to = y->words.begin();
    for (int64_t row : suppression.run(x, valid))
      to = std::copy(x + row * kRow, x + (row + 1) * kRow, to);
  };
}

}  // namespace

const Table &detection_operators() {
  static const Table table = {
      {"get_valid_counts", get_valid_counts},
      {"non_max_suppression", non_max_suppression},
  };
  return table;
}

}  // namespace farmcpu
