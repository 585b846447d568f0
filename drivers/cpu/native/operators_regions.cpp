// roi_pool and roi_align. A region is (image, left, top, right, bottom); its coordinates are in
// 1/unit of a cell of the feature map.
#include <algorithm>

#include "division.hpp"
#include "operators.hpp"

namespace farmcpu {
namespace {

using std::int32_t;
using std::int64_t;

constexpr int64_t kRegion = 5;
__extension__ typedef __int128 Huge;

// What both operators share. `rows` and `columns` are those of the grid.
struct Grid {
  int64_t images, channels, height, width, regions, rows, columns, unit;

  explicit Grid(const Operands &step) {
    step.take(2);
    const Shape &x = step.in(0).shape, &r = step.in(1).shape, &y = step.out().shape;
    step.require(x.size() == 4, "the input must be (n, c, h, w)");
    step.require(r.size() == 2 && r[1] == kRegion, "the regions must be (n, 5)");
    const Numbers size = step.pair("pooled_size", 1, 4096, 1);
    images = x[0], channels = x[1], height = x[2], width = x[3], regions = r[0];
    rows = size[0], columns = size[1], unit = step.number("unit", 1, 1 << 16, 1);
    step.require(y == Shape{regions, channels, rows, columns}, "the output does not fit");
  }

  // The image of a region; one that is not there is the nearest one.
  const int32_t *image(const int32_t *x, const int32_t *region) const {
    return x + std::clamp<int64_t>(region[0], 0, images - 1) * channels * height * width;
  }
};

struct Span {
  int64_t first, last;
};

int64_t floor_of(int64_t dividend, int64_t divisor) {
  return dividend / divisor - (dividend % divisor < 0);
}

// Cells of one bin along an axis, within the map.
Span bin_of(int64_t begin, int64_t end, int64_t index, int64_t bins, int64_t size) {
  const int64_t length = std::max<int64_t>(end - begin + 1, 1);
  const int64_t first = begin + index * length / bins;
  const int64_t last = begin - floor_of(-(index + 1) * length, bins);
  return {std::clamp<int64_t>(first, 0, size), std::clamp<int64_t>(last, 0, size)};
}

int32_t largest_of(const int32_t *plane, int64_t width, Span rows, Span columns) {
  if (rows.first >= rows.last || columns.first >= columns.last) return 0;
  int32_t largest = INT32_MIN;
  for (int64_t r = rows.first; r < rows.last; ++r)
    for (int64_t c = columns.first; c < columns.last; ++c)
      largest = std::max(largest, plane[r * width + c]);
  return largest;
}

void pool_region(const Grid &grid, const int32_t *image, const int32_t *region, int32_t *y) {
  int64_t box[4];
  for (std::size_t i = 0; i < 4; ++i) box[i] = divide_half_up(region[i + 1], grid.unit);
  for (int64_t c = 0; c < grid.channels; ++c)
    for (int64_t i = 0; i < grid.rows; ++i)
      for (int64_t j = 0; j < grid.columns; ++j)
        *y++ = largest_of(image + c * grid.height * grid.width, grid.width,
                          bin_of(box[1], box[3], i, grid.rows, grid.height),
                          bin_of(box[0], box[2], j, grid.columns, grid.width));
}

Kernel roi_pool(const Operands &step) {
  return [grid = Grid(step), x = step.in(0).words.data(), regions = step.in(1).words.data(),
          y = step.out().words.data()] {
    const int64_t size = grid.channels * grid.rows * grid.columns;
    for (int64_t r = 0; r < grid.regions; ++r)
      pool_region(grid, grid.image(x, regions + r * kRegion), regions + r * kRegion, y + r * size);
  };
}

// A sample along an axis: two neighbouring cells and their weights, 0 for both outside the map.
struct Sample {
  int64_t low, high, low_weight, high_weight;
};

class Align {
 public:
  explicit Align(const Operands &step)
      : grid_(step), samples_(step.number("samples", 1, 16, 2)),
        aligned_(step.number("aligned", 0, 1, 0)) {
    const Huge down = divisor(grid_.rows), across = divisor(grid_.columns), most = Huge{1} << 62;
    step.require(down * across <= most / (2 * samples_ * samples_),
                 "the divisor would pass 64 bits");
  }

  void run(const int32_t *x, const int32_t *regions, int32_t *y) const {
    for (int64_t r = 0; r < grid_.regions; ++r, regions += kRegion) {
      const int32_t *image = grid_.image(x, regions);
      const auto down = samples_of(regions[2], regions[4], grid_.rows, grid_.height);
      const auto across = samples_of(regions[1], regions[3], grid_.columns, grid_.width);
      for (int64_t c = 0; c < grid_.channels; ++c, image += grid_.height * grid_.width)
        for (int64_t i = 0; i < grid_.rows; ++i)
          for (int64_t j = 0; j < grid_.columns; ++j)
            *y++ = average(image, &down[static_cast<std::size_t>(i * samples_)],
                           &across[static_cast<std::size_t>(j * samples_)]);
    }
  }

 private:
  int64_t divisor(int64_t bins) const { return 2 * samples_ * bins * grid_.unit; }

  std::vector<Sample> samples_of(int64_t begin, int64_t end, int64_t bins, int64_t size) const {
    std::vector<Sample> samples;
    const int64_t length = std::max(end - begin, aligned_ ? 0 : grid_.unit), by = divisor(bins);
    const int64_t start = 2 * samples_ * bins * begin - aligned_ * samples_ * bins * grid_.unit;
    for (int64_t index = 0; index < bins * samples_; ++index) {
      const int64_t place = start + length * (2 * index + 1), inside = std::max<int64_t>(place, 0);
      const int64_t base = std::min(inside / by, size - 1);
      const int64_t part = base < size - 1 ? inside - base * by : 0;
      if (place < -by || place > size * by)
        samples.push_back({0, 0, 0, 0});
      else
        samples.push_back({base, std::min(base + 1, size - 1), by - part, part});
    }
    return samples;
  }

  int32_t average(const int32_t *plane, const Sample *down, const Sample *across) const {
    int64_t total = 0;
    for (const Sample *s = down; s < down + samples_; ++s)
      for (const Sample *t = across; t < across + samples_; ++t) {
        const int32_t *low = plane + s->low * grid_.width, *high = plane + s->high * grid_.width;
        total += s->low_weight * (low[t->low] * t->low_weight + low[t->high] * t->high_weight) +
                 s->high_weight * (high[t->low] * t->low_weight + high[t->high] * t->high_weight);
      }
    return static_cast<int32_t>(divide_half_up(
        total, divisor(grid_.rows) * divisor(grid_.columns) * samples_ * samples_));
  }

  Grid grid_;
  int64_t samples_, aligned_;
};

Kernel roi_align(const Operands &step) {
  return [align = Align(step), x = step.in(0).words.data(), regions = step.in(1).words.data(),
          y = step.out().words.data()] { align.run(x, regions, y); };
}

}  // namespace

const Table &region_operators() {
  static const Table table = {{"roi_pool", roi_pool}, {"roi_align", roi_align}};
  return table;
}

}  // namespace farmcpu
