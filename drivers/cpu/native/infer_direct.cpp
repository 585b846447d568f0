#include "infer_direct.hpp"

#include <algorithm>
#include <cstring>

#include "infer_packing.hpp"
#include "infer_window.hpp"

namespace farmcpu::infer::direct {
namespace {

constexpr std::size_t kBandBytes = 192 << 10;  // copied rows, which stay in the second cache
constexpr std::size_t kBandPixels = 4096;

// The parts of a packed layer.
struct Form {
  std::size_t lanes, steps, vector_bytes, weights_at, bytes;

  Form(const InferKernels &isa, const Convolution &layer, const Layout &layout) {
    const Block last = list_blocks(isa, layer).back();
    const std::size_t vectors = last.vectors_before + last.vectors;
    lanes = vectors * isa.lanes;
    steps = layout.steps();
    vector_bytes = std::size_t{isa.lanes} * kStepBytes;
    weights_at = round_up(3 * sizeof(std::int32_t) * lanes, kAlignment);
    bytes = weights_at + vectors * steps * vector_bytes;
  }
};

// For each element of a lane's steps, in their order: where its weight lies; -1: it is 0.
std::vector<std::ptrdiff_t> list_places(const Layout &layout, const Window &window) {
  const std::uint32_t per_tap = layout.tap_steps * kStepBytes / layout.element_bytes;
  std::vector<std::ptrdiff_t> places;
  for (std::uint32_t tap = 0; tap < layout.tap_count; ++tap)
    for (std::uint32_t i = 0; i < per_tap; ++i)
      places.push_back(find_weight(layout, window, tap, i));
  return places;
}

// One lane's weights of one channel of the target; its steps are `step_bytes` apart.
template <typename Element>
void pack_lane(const std::vector<std::ptrdiff_t> &places, const std::int8_t *weight,
               std::uint8_t *to, std::size_t step_bytes) {
  constexpr std::size_t kPerStep = kStepBytes / sizeof(Element);
  for (std::size_t at = 0; at < places.size(); at += kPerStep, to += step_bytes)
    for (std::size_t i = 0; i < kPerStep; ++i) {
      const std::ptrdiff_t place = places[at + i];
      const auto value = place < 0 ? Element{0} : static_cast<Element>(weight[place]);
      std::memcpy(to + i * sizeof value, &value, sizeof value);
    }
}

// A share of the work: a band of rows by a run of blocks.
struct Split {
  std::size_t rows, bands, parts;

  Band band(std::size_t task) const {
    const std::size_t at = task / parts;
    return {rows * at / bands, rows * (at + 1) / bands};
  }
};

std::size_t bands_for(const Layout &layout, const Convolution &layer, std::size_t bands) {
  const std::size_t rows = std::size_t{layer.target.batch} * layer.target.height;
  const auto fits = [&](std::size_t count) {
    const Band band{0, (rows + count - 1) / count};
    return band_bytes(layout, layer, band) <= kBandBytes &&
           band.last * layer.target.width <= kBandPixels;
  };
  while (bands < rows && !fits(bands)) ++bands;
  return std::min(bands, rows);
}

Split split(const Layout &layout, const Convolution &layer, const Form &form,
            std::size_t blocks, std::uint32_t threads) {
  const std::size_t rows = std::size_t{layer.target.batch} * layer.target.height;
  Split parts{rows, bands_for(layout, layer, 1), 1};
  if (threads == 1 || parts.bands >= 4 * threads) return parts;
  const std::size_t read = rows * layer.target.width * layout.pixel_bytes;
  if (form.bytes > read && blocks >= threads) {
    parts.parts = std::min<std::size_t>(blocks, 4 * threads);
    return parts;
  }
  parts.bands = bands_for(layout, layer, std::min<std::size_t>(rows, 4 * threads));
  return parts;
}

struct Scratch {
  std::size_t starts_bytes, bytes;
};

// A thread's own; the largest band of any split.
Scratch measure(const Layout &layout, const Convolution &layer) {
  const std::size_t rows = std::size_t{layer.target.batch} * layer.target.height;
  const std::size_t bands = bands_for(layout, layer, 1);
  const std::size_t most = (rows + bands - 1) / bands;
  std::size_t bytes = 0;  // a band that begins amid an image reads more than one that does not
  for (std::size_t row = 0; row < std::min<std::size_t>(rows, layer.target.height); ++row)
    bytes = std::max(bytes, band_bytes(layout, layer, {row, std::min(row + most, rows)}));
  const std::size_t starts = round_up(most * layer.target.width * sizeof(std::uint32_t), kAlignment);
  return {starts, round_up(starts + bytes, kAlignment)};
}

class Run {
 public:
  Run(const InferKernels &isa, const Convolution &layer, Style style,
      const std::uint8_t *packed, const Buffers &buffers, Team &team)
      : isa_(isa), layer_(layer), buffers_(buffers), team_(team), packed_(packed),
        layout_(lay_out(isa, layer)), form_(isa, layer, layout_),
        taps_(list_taps(layout_, layer.window)), blocks_(list_blocks(isa, layer)),
        split_(split(layout_, layer, form_, blocks_.size(), team.threads())),
        scratch_(measure(layout_, layer)),
        finish_(finish_of(layer, style)) {}

  void run() {
    team_.run(static_cast<std::uint32_t>(split_.bands * split_.parts),
              [this](std::uint32_t task, std::uint32_t thread) { do_task(task, thread); });
  }

 private:
  void do_task(std::uint32_t task, std::uint32_t thread) const {
    std::uint8_t *own = buffers_.scratch + thread * scratch_.bytes;
    auto *starts = reinterpret_cast<std::uint32_t *>(own);
    const Band band = split_.band(task);
    const std::uint8_t *base = prepare_band(isa_, layout_, layer_, band, buffers_.source,
                                            own + scratch_.starts_bytes, starts);
    const std::size_t part = task % split_.parts, count = blocks_.size();
    const std::size_t last = count * (part + 1) / split_.parts;
    for (std::size_t i = count * part / split_.parts; i < last; ++i)
      do_block(band, base, starts, i, i + 1 < last);
  }

  const std::uint8_t *weights(const Block &block) const {
    return packed_ + form_.weights_at + block.vectors_before * form_.steps * form_.vector_bytes;
  }

  void do_block(const Band &band, const std::uint8_t *base, const std::uint32_t *starts,
                std::size_t index, bool has_next) const {
    const Block &block = blocks_[index];
    const std::size_t width = layer_.target.width, pixel = band.first * width;
    const auto *words = reinterpret_cast<const std::int32_t *>(packed_) + block.lanes_before;
    Panel panel{};
    panel.source = base + std::size_t{block.group} * layout_.inner * layout_.element_bytes;
    panel.starts = starts;
    panel.pixels = static_cast<std::uint32_t>((band.last - band.first) * width);
    panel.taps = taps_.data();
    panel.tap_count = layout_.tap_count;
    panel.tap_steps = layout_.tap_steps;
    panel.weights = weights(block);
    if (has_next) {
      panel.next = weights(blocks_[index + 1]);
      panel.next_bytes = blocks_[index + 1].vectors * form_.steps * form_.vector_bytes;
    }
    panel.bias = words;
    panel.multiplier = words + form_.lanes;
    panel.offset = words + 2 * form_.lanes;
    panel.vectors = block.vectors;
    panel.channels = block.channels;
    if (!layer_.rescaled) return store_words(panel, block, pixel);
    panel.finish = &finish_;
    panel.target_stride = layer_.target.pixel_stride;
    panel.target = static_cast<std::uint8_t *>(buffers_.target) + pixel * panel.target_stride +
                   block.first;
    panel.other_stride = layer_.residual.pixel_stride;
    if (layer_.has_residual)
      panel.other = buffers_.other + pixel * panel.other_stride + block.first;
    isa_.multiply(panel);
  }

  // Few pixels at a time, into the order of words.
  void store_words(Panel panel, const Block &block, std::size_t pixel) const {
    constexpr std::uint32_t kPixels = 24, kMaxLanes = 64;
    alignas(kAlignment) std::int32_t sums[kPixels * kMaxLanes];
    const std::size_t area = std::size_t{layer_.target.height} * layer_.target.width;
    const std::uint32_t count = panel.pixels;
    panel.sums = sums;
    panel.sum_stride = std::size_t{panel.vectors} * isa_.lanes;
    for (std::uint32_t first = 0; first < count; first += kPixels) {
      panel.pixels = std::min(count - first, kPixels);
      isa_.multiply(panel);
      panel.starts += panel.pixels;
      for (std::uint32_t i = 0; i < panel.pixels; ++i) {
        const std::size_t at = pixel + first + i;
        auto *to = static_cast<std::int32_t *>(buffers_.target) +
                   (at / area * layer_.target.channels + block.first) * area + at % area;
        for (std::uint32_t c = 0; c < block.channels; ++c)
          to[c * area] = sums[i * panel.sum_stride + c];
      }
    }
  }

  const InferKernels &isa_;
  const Convolution &layer_;
  const Buffers &buffers_;
  Team &team_;
  const std::uint8_t *packed_;
  Layout layout_;
  Form form_;
  std::vector<std::uint32_t> taps_;
  std::vector<Block> blocks_;
  Split split_;
  Scratch scratch_;
  Finish finish_;
};

}  // namespace

std::size_t packed_bytes(const InferKernels &isa, const Convolution &layer) {
  return Form(isa, layer, lay_out(isa, layer)).bytes;
}

void pack(const InferKernels &isa, const Convolution &layer, Style style,
          const Parameters &parameters, std::uint8_t *packed) {
  const Layout layout = lay_out(isa, layer);
  const Form form(isa, layer, layout);
  std::memset(packed, 0, form.bytes);
  auto *words = reinterpret_cast<std::int32_t *>(packed);
  const std::vector<std::ptrdiff_t> places = list_places(layout, layer.window);
  const std::size_t count =
      std::size_t{layout.inner} * layer.window.rows * layer.window.columns;
  for (const Block &block : list_blocks(isa, layer))
    for (std::uint32_t i = 0; i < block.channels; ++i) {
      const std::size_t channel = block.first + i, lane = block.lanes_before + i;
      const std::int8_t *weight = parameters.weight + channel * count;
      words[lane] = fold_bias(layer, parameters.bias[channel], weight, count);
      if (layer.rescaled) {
        words[form.lanes + lane] = factor_of(parameters.multiplier[channel], style);
        words[2 * form.lanes + lane] = parameters.offset[channel];
      }
      std::uint8_t *to = packed + form.weights_at +
                         block.vectors_before * form.steps * form.vector_bytes +
                         std::size_t{i} * kStepBytes;
      const std::size_t step_bytes = block.vectors * form.vector_bytes;
      isa.element_bytes == 1 ? pack_lane<std::int8_t>(places, weight, to, step_bytes)
                             : pack_lane<std::int16_t>(places, weight, to, step_bytes);
    }
}

std::size_t scratch_bytes(const InferKernels &isa, const Convolution &layer,
                          std::uint32_t threads) {
  return threads * measure(lay_out(isa, layer), layer).bytes;
}

void convolve(const InferKernels &isa, const Convolution &layer, Style style,
              const std::uint8_t *packed, const Buffers &buffers, Team &team) {
  Run(isa, layer, style, packed, buffers, team).run();
}

}  // namespace farmcpu::infer::direct
