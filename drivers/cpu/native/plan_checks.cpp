#include "plan_checks.hpp"

#include <algorithm>

#include "operators.hpp"

namespace farmcpu {
namespace {

constexpr std::uint32_t kMostSize = 1 << 24;  // of one dimension
constexpr std::int64_t kMostWords = 1 << 30;  // of a value
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 40;

// One dimension of a window: whether it gives `target` positions, each of them over the source.
void check_steps(std::uint32_t source, std::uint32_t target, std::uint32_t size,
                 std::uint32_t stride, std::uint32_t before, std::uint32_t after,
                 std::uint32_t dilation) {
  for (std::uint32_t number : {size, stride, dilation})
    expect(number >= 1 && number <= kMostSize, "has a wrong window");
  expect(before <= kMostSize && after <= kMostSize, "has a wrong padding");
  const std::int64_t spread = std::int64_t{size - 1} * dilation + 1;
  const std::int64_t room = std::int64_t{source} + before + after - spread;
  expect(room >= 0 && room / stride + 1 == target, "has a window that does not fit");
}

// Kernels count the bytes of one image with its padding, as 16-bit elements, in 32 bits.
void check_padded(const infer::Image &source, const infer::Window &window) {
  const std::uint64_t rows = std::uint64_t{source.height} + window.top + window.bottom;
  const std::uint64_t columns = std::uint64_t{source.width} + window.left + window.right;
  const std::uint32_t stride = std::max(source.pixel_stride, source.channels + 3);
  expect(rows * columns <= UINT32_MAX / 2 / stride, "has too large an image");
}

}  // namespace

void refuse_plan(const std::string &why) {
  throw Failure(FARMCPU_BAD_ARGUMENT, "the packed plan " + why);
}

void expect(bool condition, const char *why) {
  if (!condition) refuse_plan(why);
}

std::uint64_t bytes_of(const infer::Image &image) {
  for (std::uint32_t size : {image.batch, image.height, image.width, image.channels})
    expect(size >= 1 && size <= kMostSize, "has an image of a wrong size");
  expect(image.pixel_stride >= image.channels, "has pixels that overlap");
  expect(image.zero == 0 || image.zero == 128, "has a wrong zero");
  const auto rows = std::uint64_t{image.batch} * image.height;
  expect(rows <= kMostBytes / image.width / image.pixel_stride, "has too large an image");
  return (rows * image.width - 1) * image.pixel_stride + image.channels;
}

std::uint64_t count_of(const infer::Image &image) {
  bytes_of(image);
  return std::uint64_t{image.batch} * image.height * image.width * image.channels;
}

bool same_shape(const infer::Image &a, const infer::Image &b) {
  return a.batch == b.batch && a.height == b.height && a.width == b.width &&
         a.channels == b.channels;
}

void check_shift(std::int32_t shift) {
  expect(shift >= 0 && shift <= 31, "has a wrong shift");
}

void check_rescale(const infer::Rescale &rescale) {
  check_shift(rescale.pre_shift);
  check_shift(rescale.shift);
  expect(rescale.low <= rescale.high && rescale.pre_low <= rescale.pre_high, "has a wrong clip");
}

void check_window(const infer::Window &w, const infer::Image &source,
                  const infer::Image &target) {
  expect(source.batch == target.batch, "changes the batch");
  check_steps(source.height, target.height, w.rows, w.row_stride, w.top, w.bottom, w.row_dilation);
  check_steps(source.width, target.width, w.columns, w.column_stride, w.left, w.right,
              w.column_dilation);
  expect(std::uint64_t{w.rows} * w.columns <= kMostSize, "has too large a window");
}

void check_convolution(const infer::Convolution &form) {
  check_window(form.window, form.source, form.target);
  check_rescale(form.rescale);
  expect(form.groups >= 1 && form.source.channels % form.groups == 0 &&
             form.target.channels % form.groups == 0,
         "has groups that do not fit");
  check_padded(form.source, form.window);
  const std::uint64_t taps = std::uint64_t{form.window.rows} * form.window.columns;
  const std::uint64_t channels = std::uint64_t{form.source.channels} / form.groups;
  expect(taps <= kMostBytes / channels / form.target.channels, "has too many weights");
  expect(form.rescaled || !form.has_residual, "adds to sums");
}

std::uint64_t check_value(const PlanValue &value) {
  expect(value.dimensions >= 1 && value.dimensions <= 6, "has a wrong shape");
  expect(value.precision >= 1 && value.precision <= 32, "has a wrong precision");
  expect(value.at % infer::kAlignment == 0, "has words that are not aligned");
  std::int64_t count = 1;
  for (std::uint32_t d = 0; d < value.dimensions; ++d) {
    expect(value.shape[d] >= 1 && value.shape[d] <= kMostSize, "has a wrong shape");
    expect(count <= kMostWords / value.shape[d], "has too large a value");
    count *= value.shape[d];
  }
  return static_cast<std::uint64_t>(count);
}

}  // namespace farmcpu
