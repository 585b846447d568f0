#include "infer_window.hpp"

#include <algorithm>
#include <cstring>

namespace farmcpu::infer {
namespace {

bool is_padded(const Window &window) {
  return window.top || window.left || window.bottom || window.right;
}

// The rows that one image's share of a band reads.
struct Piece {
  std::uint32_t image;
  std::int64_t top;      // of the source: negative in the padding
  std::size_t rows;      // read
  std::size_t out_rows;  // written
};

// visit(piece) for each image of the band.
template <typename Visit>
void for_pieces(const Convolution &layer, const Band &band, const Visit &visit) {
  const std::size_t height = layer.target.height;
  for (std::size_t row = band.first; row < band.last;) {
    const std::size_t image = row / height, y = row % height;
    const std::size_t count = std::min(band.last - row, height - y);
    const std::int64_t top = static_cast<std::int64_t>(y * layer.window.row_stride) -
                             static_cast<std::int64_t>(layer.window.top);
    visit(Piece{static_cast<std::uint32_t>(image), top, input_rows(layer.window, count), count});
    row += count;
  }
}

class Copier {
 public:
  Copier(const InferKernels &isa, const Layout &layout, const Convolution &layer,
         const std::uint8_t *source)
      : isa_(isa), layout_(layout), layer_(layer), source_(source) {}

  // One row with its padding; y may lie outside.
  void copy_row(std::uint32_t image, std::int64_t y, std::uint8_t *to) const {
    if (y < 0 || y >= layer_.source.height) return blank(to, layout_.width);
    const std::uint32_t left = std::min(layer_.window.left, layout_.width);
    const std::uint32_t inside = std::min(layer_.source.width, layout_.width - left);
    blank(to, left);
    copy_pixels(source_ + row_start(image, y), inside, to + pixel(left));
    blank(to + pixel(left + inside), layout_.width - left - inside);
  }

 private:
  std::size_t pixel(std::size_t count) const { return count * layout_.pixel_bytes; }

  std::size_t row_start(std::uint32_t image, std::int64_t y) const {
    const Image &from = layer_.source;
    return (std::size_t{image} * from.height + static_cast<std::size_t>(y)) * from.width *
           from.pixel_stride;
  }

  void blank(std::uint8_t *to, std::size_t count) const {
    if (layout_.element_bytes == 1) {
      std::memset(to, layer_.source.zero, pixel(count));
      return;
    }
    auto *halves = reinterpret_cast<std::int16_t *>(to);
    std::fill(halves, halves + pixel(count) / 2, static_cast<std::int16_t>(layer_.source.zero));
  }

  void copy_pixels(const std::uint8_t *from, std::size_t count, std::uint8_t *to) const {
    const std::size_t stride = layer_.source.pixel_stride, channels = layer_.source.channels;
    if (layout_.element_bytes == 1 && stride == layout_.pixel_bytes) {
      std::memcpy(to, from, count * stride);
      return;
    }
    const std::size_t elements = layout_.pixel_bytes / layout_.element_bytes;
    if (layout_.element_bytes == 2 && stride == elements)
      return isa_.widen(from, count * stride, reinterpret_cast<std::int16_t *>(to));
    for (std::size_t i = 0; i < count; ++i)
      copy_pixel(from + i * stride, channels, to + pixel(i));
  }

  void copy_pixel(const std::uint8_t *from, std::size_t channels, std::uint8_t *to) const {
    const std::size_t bytes = channels * layout_.element_bytes;
    if (layout_.element_bytes == 1)
      for (std::size_t c = 0; c < channels; ++c) to[c] = from[c];
    else
      isa_.widen(from, channels, reinterpret_cast<std::int16_t *>(to));
    std::memset(to + bytes, 0, layout_.pixel_bytes - bytes);
  }

  const InferKernels &isa_;
  const Layout &layout_;
  const Convolution &layer_;
  const std::uint8_t *source_;
};

}  // namespace

Layout lay_out(const InferKernels &isa, const Convolution &layer) {
  const Window &window = layer.window;
  const Image &source = layer.source;
  const std::uint32_t per_step = kStepBytes / isa.element_bytes;
  Layout layout{};
  layout.element_bytes = isa.element_bytes;
  layout.copies = is_padded(window) || isa.element_bytes == 2;
  layout.inner = source.channels / layer.groups;
  layout.outer = layer.target.channels / layer.groups;
  const bool one_group = layer.groups == 1, near = window.column_dilation == 1;
  if (layout.copies) {
    layout.merged = one_group && near;
    const std::uint32_t elements =
        layout.merged ? source.channels
                      : static_cast<std::uint32_t>(round_up(source.channels, per_step));
    layout.pixel_bytes = elements * isa.element_bytes;
    layout.width = source.width + window.left + window.right;
  } else {
    layout.merged = one_group && near && source.pixel_stride == source.channels;
    layout.pixel_bytes = source.pixel_stride;
    layout.width = source.width;
  }
  layout.row_bytes = layout.width * layout.pixel_bytes;
  const std::uint32_t run = layout.merged ? window.columns * layout.inner : layout.inner;
  layout.tap_steps = (run + per_step - 1) / per_step;
  layout.tap_count = layout.merged ? window.rows : window.rows * window.columns;
  return layout;
}

std::vector<std::uint32_t> list_taps(const Layout &layout, const Window &window) {
  const std::uint32_t columns = layout.merged ? 1 : window.columns;
  std::vector<std::uint32_t> taps;
  for (std::uint32_t row = 0; row < window.rows; ++row)
    for (std::uint32_t column = 0; column < columns; ++column)
      taps.push_back(row * window.row_dilation * layout.row_bytes +
                     column * window.column_dilation * layout.pixel_bytes);
  return taps;
}

std::ptrdiff_t find_weight(const Layout &layout, const Window &window, std::uint32_t tap,
                           std::uint32_t element) {
  std::uint32_t row = tap, column = element / layout.inner, channel = element % layout.inner;
  if (!layout.merged) {
    row = tap / window.columns;
    column = tap % window.columns;
    channel = element;
  }
  if (channel >= layout.inner || column >= window.columns) return -1;
  return (static_cast<std::ptrdiff_t>(channel) * window.rows + row) * window.columns + column;
}

std::size_t input_rows(const Window &window, std::size_t output_rows) {
  return (output_rows - 1) * window.row_stride +
         std::size_t{window.rows - 1} * window.row_dilation + 1;
}

std::size_t band_bytes(const Layout &layout, const Convolution &layer, const Band &band) {
  std::size_t rows = 0;
  for_pieces(layer, band, [&](const Piece &piece) { rows += piece.rows; });
  return layout.copies ? rows * layout.row_bytes + kSlackBytes : 0;
}

const std::uint8_t *prepare_band(const InferKernels &isa, const Layout &layout,
                                 const Convolution &layer, const Band &band,
                                 const std::uint8_t *source, std::uint8_t *rows,
                                 std::uint32_t *starts) {
  const Copier copier(isa, layout, layer, source);
  const std::size_t image_bytes = std::size_t{layer.source.height} * layout.row_bytes;
  const std::size_t base = band.first / layer.target.height * image_bytes;
  std::size_t at = 0;  // where the piece's first row is read
  for_pieces(layer, band, [&](const Piece &piece) {
    if (!layout.copies)
      at = piece.image * image_bytes - base + static_cast<std::size_t>(piece.top) * layout.row_bytes;
    const std::size_t begin = at;
    if (layout.copies)
      for (std::size_t row = 0; row < piece.rows; ++row, at += layout.row_bytes)
        copier.copy_row(piece.image, piece.top + static_cast<std::int64_t>(row), rows + at);
    for (std::size_t y = 0; y < piece.out_rows; ++y)
      for (std::size_t x = 0; x < layer.target.width; ++x)
        *starts++ = static_cast<std::uint32_t>(
            begin + y * layer.window.row_stride * layout.row_bytes +
            x * layer.window.column_stride * layout.pixel_bytes);
  });
  return layout.copies ? rows : source + base;
}

}  // namespace farmcpu::infer
