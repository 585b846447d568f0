// Pools: the windows' pixels are found here, the arithmetic is an instruction set's.
#include <algorithm>
#include <vector>

#include "infer_isa.hpp"
#include "infer_scalar.hpp"

namespace farmcpu::infer {
namespace {

constexpr std::size_t kTaskReads = 65536;

// The rows, or the columns, of a window that lie within the image: `first` and on, `step` apart.
struct Span {
  std::int64_t first, step;
  std::uint32_t count;
};

Span span(std::uint32_t size, std::uint32_t at, std::uint32_t stride, std::uint32_t before,
          std::uint32_t window, std::uint32_t dilation) {
  std::int64_t first = std::int64_t{at} * stride - before;
  std::uint32_t count = window;
  if (first < 0) {
    const auto outside = static_cast<std::uint32_t>((-first + dilation - 1) / dilation);
    count -= std::min(count, outside);
    first += std::int64_t{outside} * dilation;
  }
  const std::int64_t room = (std::int64_t{size} - first + dilation - 1) / dilation;
  return {first, dilation, static_cast<std::uint32_t>(
                               std::clamp<std::int64_t>(room, 0, std::int64_t{count}))};
}

class Pooling {
 public:
  Pooling(const Pool &layer, const std::int32_t *multiplier, const std::int32_t *offset,
          const std::uint8_t *source, void *target, std::uint32_t threads)
      : layer_(layer), kernels_(*infer_kernels(chosen_isa())->rows), source_(source), target_(target),
        finish_{layer.rescale, {}, layer.target.zero, Style::kGeneral, false},
        factors_{&finish_, multiplier, offset},
        memory_(threads, Memory(layer)) {}

  void pool_row(std::size_t row, std::uint32_t thread) {
    const Image &from = layer_.source, &to = layer_.target;
    const Window &window = layer_.window;
    const auto n = static_cast<std::uint32_t>(row / to.height);
    const auto y = static_cast<std::uint32_t>(row % to.height);
    const Span rows = span(from.height, y, window.row_stride, window.top, window.rows,
                           window.row_dilation);
    Memory &own = memory_[thread];
    const std::size_t line = std::size_t{from.width} * from.pixel_stride;
    const std::uint8_t *image = source_ + n * from.height * line;
    for (std::uint32_t x = 0; x < to.width; ++x) {
      const Span columns = span(from.width, x, window.column_stride, window.left, window.columns,
                                window.column_dilation);
      std::uint32_t count = 0;
      for (std::uint32_t r = 0; r < rows.count; ++r) {
        const auto first = static_cast<std::size_t>(columns.first) * from.pixel_stride;
        const std::uint8_t *at =
            image + static_cast<std::size_t>(rows.first + r * rows.step) * line + first;
        for (std::uint32_t c = 0; c < columns.count; ++c, at += columns.step * from.pixel_stride)
          own.pixels[count++] = at;
      }
      pool_pixel({own.pixels.data(), count}, n, y, x, own.sums.data());
    }
  }

 private:
  // A thread's own: the pixels of a window, and the sums of one.
  struct Memory {
    explicit Memory(const Pool &layer)
        : pixels(std::size_t{layer.window.rows} * layer.window.columns),
          sums(layer.target.channels) {}

    std::vector<const std::uint8_t *> pixels;
    std::vector<std::int32_t> sums;
  };

  void pool_pixel(const Taps &taps, std::uint32_t n, std::uint32_t y, std::uint32_t x,
                  std::int32_t *sums) const {
    const Image &to = layer_.target;
    const std::size_t pixel = (std::size_t{n} * to.height + y) * to.width + x;
    std::uint8_t *bytes = static_cast<std::uint8_t *>(target_) + pixel * to.pixel_stride;
    if (!layer_.largest && !layer_.rescaled) return write_words(taps, n, y, x, sums);
    if (!taps.count) return write_empty(bytes);
    const auto zeros = static_cast<std::int32_t>(taps.count) * layer_.source.zero;
    if (layer_.largest)
      kernels_.pool_largest(taps, to.channels,
                            static_cast<std::uint8_t>(to.zero - layer_.source.zero), bytes);
    else
      kernels_.pool_average(taps, to.channels, zeros, factors_, bytes);
  }

  // A window in the padding alone: a sum of nothing. A maximum of nothing does not occur.
  void write_empty(std::uint8_t *bytes) const {
    for (std::uint32_t c = 0; c < layer_.target.channels; ++c)
      bytes[c] = static_cast<std::uint8_t>(
          (layer_.largest ? 0
                          : rescale_one(0, layer_.rescale, factors_.multiplier[c],
                                        factors_.offset[c])) +
          layer_.target.zero);
  }

  void write_words(const Taps &taps, std::uint32_t n, std::uint32_t y, std::uint32_t x,
                   std::int32_t *sums) const {
    const Image &to = layer_.target;
    const std::size_t area = std::size_t{to.height} * to.width;
    auto *words = static_cast<std::int32_t *>(target_) + std::size_t{n} * to.channels * area +
                  std::size_t{y} * to.width + x;
    const auto zeros = static_cast<std::int32_t>(taps.count) * layer_.source.zero;
    if (taps.count)
      kernels_.pool_sum(taps, to.channels, zeros, sums);
    else
      std::fill_n(sums, to.channels, 0);
    for (std::uint32_t c = 0; c < to.channels; ++c) words[c * area] = sums[c];
  }

  const Pool &layer_;
  const RowKernels &kernels_;
  const std::uint8_t *source_;
  void *target_;
  Finish finish_;
  Factors factors_;
  std::vector<Memory> memory_;
};

}  // namespace

void pool(const Pool &layer, const std::int32_t *multiplier, const std::int32_t *offset,
          const std::uint8_t *source, void *target, Team &team) {
  Pooling pooling(layer, multiplier, offset, source, target, team.threads());
  const Image &to = layer.target;
  const std::size_t rows = std::size_t{to.batch} * to.height;
  const std::size_t taps = std::size_t{layer.window.rows} * layer.window.columns;
  const std::size_t reads = rows * to.width * taps * to.channels;
  const std::size_t tasks =
      std::clamp<std::size_t>(reads / kTaskReads, 1, std::min<std::size_t>(rows, 4096));
  team.run(static_cast<std::uint32_t>(tasks), [&](std::uint32_t task, std::uint32_t thread) {
    for (std::size_t row = rows * task / tasks; row < rows * (task + 1) / tasks; ++row)
      pooling.pool_row(row, thread);
  });
}

}  // namespace farmcpu::infer
