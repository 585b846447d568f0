#include "infer_narrow.hpp"

#include <algorithm>
#include <cstring>

#include "infer_packing.hpp"
#include "infer_scalar.hpp"
#include "infer_window.hpp"

namespace farmcpu::infer::narrow {
namespace {

constexpr std::size_t kTaskProducts = 1 << 18;

bool is_depthwise(const Convolution &layer) { return layer.source.channels == layer.groups; }

std::uint32_t inner(const Convolution &layer) { return layer.source.channels / layer.groups; }

std::size_t taps(const Window &window) { return std::size_t{window.rows} * window.columns; }

struct Form {
  std::size_t lanes, vector_bytes, weights_at, bytes;

  Form(const InferKernels &isa, const Convolution &layer) {
    lanes = round_up(layer.target.channels, isa.lanes);
    const std::size_t steps = is_depthwise(layer) ? 1 : inner(layer) / kStepBytes;
    vector_bytes = taps(layer.window) * steps * isa.lanes * kStepBytes;
    weights_at = round_up(3 * sizeof(std::int32_t) * lanes, kAlignment);
    bytes = weights_at + lanes / isa.lanes * vector_bytes;
  }
};

// Where a weight lies within its vector's bytes.
std::size_t place_of(const InferKernels &isa, const Convolution &layer, std::uint32_t lane,
                     std::uint32_t row, std::uint32_t column, std::uint32_t channel) {
  const std::uint32_t columns = layer.window.columns;
  if (is_depthwise(layer))
    return ((std::size_t{row} * columns + column) * isa.lanes + lane) * sizeof(std::int32_t);
  const std::size_t steps = inner(layer) / kStepBytes;
  const std::size_t step = (row * steps + channel / kStepBytes) * columns + column;
  return (step * isa.lanes + lane) * kStepBytes + channel % kStepBytes;
}

void pack_channel(const InferKernels &isa, const Convolution &layer, const std::int8_t *weight,
                  std::uint32_t lane, std::uint8_t *vector) {
  for (std::uint32_t i = 0; i < inner(layer); ++i)
    for (std::uint32_t row = 0; row < layer.window.rows; ++row)
      for (std::uint32_t column = 0; column < layer.window.columns; ++column) {
        std::uint8_t *to = vector + place_of(isa, layer, lane, row, column, i);
        const std::int8_t value = *weight++;
        if (is_depthwise(layer)) {
          const std::int32_t word = value;  // whose upper half meets a zero
          std::memcpy(to, &word, sizeof word);
        } else {
          std::memcpy(to, &value, sizeof value);
        }
      }
}

class Run {
 public:
  Run(const InferKernels &isa, const Convolution &layer, Style style,
      const std::uint8_t *packed, const Buffers &buffers, std::uint32_t threads)
      : isa_(isa), layer_(layer), buffers_(buffers), form_(isa, layer),
        depthwise_(is_depthwise(layer)), finish_(finish_of(layer, style)) {
    const auto *words = reinterpret_cast<const std::int32_t *>(packed);
    row_.taps = static_cast<std::uint32_t>(taps(layer.window));
    row_.inner = inner(layer);
    row_.stride = layer.window.column_stride;
    row_.channels = layer.target.channels;
    row_.weights = packed + form_.weights_at;
    row_.bias = words;
    row_.multiplier = words + form_.lanes;
    row_.offset = words + 2 * form_.lanes;
    row_.finish = &finish_;
    row_.target_stride = layer.target.pixel_stride;
    row_.other_stride = layer.residual.pixel_stride;
    places_bytes_ = places_bytes(layer);
    blank_ = buffers.scratch + threads * places_bytes_;
    std::memset(blank_, layer.source.zero, layer.source.channels + kSlackBytes);
  }

  static std::size_t places_bytes(const Convolution &layer) {
    const std::size_t depthwise = kDepthwisePixels * taps(layer.window);
    const std::size_t grouped = 3 * ((kGroupedPixels - 1) * 2 + 3);
    return round_up(std::max(depthwise, grouped) * sizeof(void *), kAlignment);
  }

  void do_row(std::size_t row, std::uint32_t thread) const {
    auto **sources =
        reinterpret_cast<const std::uint8_t **>(buffers_.scratch + thread * places_bytes_);
    const std::uint32_t width = layer_.target.width;
    const std::uint32_t most = depthwise_ ? kDepthwisePixels : kGroupedPixels;
    // the last pixels are computed anew where the row is no multiple
    for (std::uint32_t x = 0; x < width;) {
      const std::uint32_t pixels = width < most ? 1 : most;
      x = std::min(x, width - pixels);
      do_pixels(row, x, pixels, sources);
      x += pixels;
    }
  }

 private:
  const std::uint8_t *pixel(std::uint32_t n, std::int64_t y, std::int64_t x) const {
    const std::uint8_t *found = pixel_at(layer_.source, buffers_.source, n, y, x);
    return found ? found : blank_;
  }

  void do_pixels(std::size_t row, std::uint32_t x, std::uint32_t pixels,
                 const std::uint8_t **sources) const {
    const auto n = static_cast<std::uint32_t>(row / layer_.target.height);
    const auto y = static_cast<std::uint32_t>(row % layer_.target.height);
    depthwise_ ? find_taps(n, y, x, pixels, sources) : find_rows(n, y, x, pixels, sources);
    const std::size_t at = row * layer_.target.width + x;
    ChannelRow panel = row_;
    panel.sources = sources;
    panel.pixels = pixels;
    panel.target = static_cast<std::uint8_t *>(buffers_.target) + at * panel.target_stride;
    if (finish_.joins) panel.other = buffers_.other + at * panel.other_stride;
    depthwise_ ? isa_.channels->depthwise(panel) : isa_.channels->grouped(panel);
  }

  void find_taps(std::uint32_t n, std::uint32_t y, std::uint32_t x, std::uint32_t pixels,
                 const std::uint8_t **sources) const {
    const Window &window = layer_.window;
    for (std::uint32_t p = 0; p < pixels; ++p) {
      const std::int64_t top = std::int64_t{y} * window.row_stride - window.top;
      const std::int64_t left = std::int64_t{x + p} * window.column_stride - window.left;
      for (std::uint32_t row = 0; row < window.rows; ++row)
        for (std::uint32_t column = 0; column < window.columns; ++column)
          *sources++ = pixel(n, top + std::int64_t{row} * window.row_dilation,
                             left + std::int64_t{column} * window.column_dilation);
    }
  }

  void find_rows(std::uint32_t n, std::uint32_t y, std::uint32_t x, std::uint32_t pixels,
                 const std::uint8_t **sources) const {
    const Window &window = layer_.window;
    const std::int64_t top = std::int64_t{y} * window.row_stride - window.top;
    const std::int64_t left = std::int64_t{x} * window.column_stride - window.left;
    const std::uint32_t count = (pixels - 1) * window.column_stride + 3;
    for (std::uint32_t row = 0; row < 3; ++row)
      for (std::uint32_t i = 0; i < count; ++i) *sources++ = pixel(n, top + row, left + i);
  }

  const InferKernels &isa_;
  const Convolution &layer_;
  const Buffers &buffers_;
  Form form_;
  bool depthwise_;
  Finish finish_;
  ChannelRow row_{};
  std::size_t places_bytes_;
  std::uint8_t *blank_;
};

}  // namespace

bool fits(const InferKernels &isa, const Convolution &layer, Method method) {
  const std::uint32_t channels = layer.source.channels;
  if (!layer.rescaled || layer.target.channels != channels || layer.groups == 1) return false;
  if (method == Method::kDepthwise) return is_depthwise(layer);
  const Window &window = layer.window;
  const std::uint32_t in = inner(layer);
  return isa.channels->grouped && (in == 4 || in == 8 || in == 16) && channels % isa.lanes == 0 &&
         window.rows == 3 && window.columns == 3 && window.row_dilation == 1 &&
         window.column_dilation == 1 && window.column_stride <= 2;
}

std::size_t packed_bytes(const InferKernels &isa, const Convolution &layer) {
  return Form(isa, layer).bytes;
}

void pack(const InferKernels &isa, const Convolution &layer, Style style,
          const Parameters &parameters, std::uint8_t *packed) {
  const Form form(isa, layer);
  std::memset(packed, 0, form.bytes);
  auto *words = reinterpret_cast<std::int32_t *>(packed);
  const std::size_t count = inner(layer) * taps(layer.window);
  for (std::uint32_t channel = 0; channel < layer.target.channels; ++channel) {
    const std::int8_t *weight = parameters.weight + channel * count;
    words[channel] = fold_bias(layer, parameters.bias[channel], weight, count);
    words[form.lanes + channel] = factor_of(parameters.multiplier[channel], style);
    words[2 * form.lanes + channel] = parameters.offset[channel];
    pack_channel(isa, layer, weight, channel % isa.lanes,
                 packed + form.weights_at + channel / isa.lanes * form.vector_bytes);
  }
}

std::size_t scratch_bytes(const Convolution &layer, std::uint32_t threads) {
  return threads * Run::places_bytes(layer) + layer.source.channels + kSlackBytes;
}

void convolve(const InferKernels &isa, const Convolution &layer, Style style,
              const std::uint8_t *packed, const Buffers &buffers, Team &team) {
  const Run run(isa, layer, style, packed, buffers, team.threads());
  const Image &to = layer.target;
  const std::size_t rows = std::size_t{to.batch} * to.height;
  const std::size_t products = pixels(to) * to.channels * inner(layer) * taps(layer.window);
  const std::size_t tasks = std::clamp<std::size_t>(products / kTaskProducts, 1,
                                                    std::min<std::size_t>(rows, 4096));
  team.run(static_cast<std::uint32_t>(tasks), [&](std::uint32_t task, std::uint32_t thread) {
    for (std::size_t row = rows * task / tasks; row < rows * (task + 1) / tasks; ++row)
      run.do_row(row, thread);
  });
}

}  // namespace farmcpu::infer::narrow
