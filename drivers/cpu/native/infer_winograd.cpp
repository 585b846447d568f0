#include "infer_winograd.hpp"

#include <algorithm>
#include <cstring>

#include "infer_packing.hpp"
#include "infer_scalar.hpp"

namespace farmcpu::infer::winograd {
namespace {

constexpr std::int64_t kLimit = 1 << 25;
constexpr std::size_t kGroupBytes = 640 << 10;  // a group of tiles with its sums
constexpr std::size_t kMostTiles = 48, kFewestTiles = 24;
// The rows of the weights' transform, each scaled so that it is whole; transform_out undoes it.
constexpr int kWeightRows[kTileSide][3] = {{6, 0, 0}, {1, 1, 1},  {1, -1, 1},
                                           {1, 2, 4}, {1, -2, 4}, {0, 0, 3}};

struct Grid {
  std::size_t rows, columns, count;

  explicit Grid(const Image &target)
      : rows((target.height + kTileStep - 1) / kTileStep),
        columns((target.width + kTileStep - 1) / kTileStep),
        count(target.batch * rows * columns) {}
};

struct Form {
  std::size_t lanes, steps, vector_bytes, weights_at, bytes;

  Form(const InferKernels &isa, const Convolution &layer) {
    lanes = round_up(layer.target.channels, isa.lanes);
    steps = (layer.source.channels + 1) / 2;
    vector_bytes = std::size_t{isa.lanes} * kStepBytes;
    weights_at = round_up(3 * sizeof(std::int32_t) * lanes, kAlignment);
    bytes = weights_at + lanes / isa.lanes * steps * kTilePositions * vector_bytes;
  }

  // Of one position of a block.
  std::size_t position_bytes(const Block &block) const {
    return block.vectors * steps * vector_bytes;
  }
  std::size_t block_at(const Block &block) const {
    return weights_at + block.vectors_before * steps * kTilePositions * vector_bytes;
  }
};

// A thread's memory: the transformed tiles, the sums of a block, and where the tiles begin.
struct Scratch {
  std::size_t tiles, channels, source_bytes, sums_bytes, bytes;

  Scratch(const InferKernels &isa, const Convolution &layer, std::size_t count) {
    channels = round_up(layer.source.channels, 2 * isa.lanes);
    const std::size_t width = isa.max_vectors * isa.lanes;
    const std::size_t tile_bytes = kTilePositions * (2 * channels + 4 * width);
    tiles = std::clamp(kGroupBytes / tile_bytes, kFewestTiles, kMostTiles);
    tiles = std::min(tiles, count);
    source_bytes = kTilePositions * tiles * channels * sizeof(std::int16_t);
    sums_bytes = kTilePositions * tiles * width * sizeof(std::int32_t);
    bytes = source_bytes + sums_bytes + round_up(tiles * sizeof(std::uint32_t), kAlignment);
  }
};

void transform_weight(const std::int8_t *weight, std::int16_t to[kTilePositions]) {
  int half[kTileSide][3];
  for (std::uint32_t i = 0; i < kTileSide; ++i)
    for (std::uint32_t column = 0; column < 3; ++column) {
      half[i][column] = 0;
      for (std::uint32_t row = 0; row < 3; ++row)
        half[i][column] += kWeightRows[i][row] * weight[row * 3 + column];
    }
  for (std::uint32_t i = 0; i < kTileSide; ++i)
    for (std::uint32_t j = 0; j < kTileSide; ++j) {
      int sum = 0;
      for (std::uint32_t column = 0; column < 3; ++column)
        sum += kWeightRows[j][column] * half[i][column];
      to[i * kTileSide + j] = static_cast<std::int16_t>(sum);
    }
}

class Run {
 public:
  Run(const InferKernels &isa, const Convolution &layer, Style style,
      const std::uint8_t *packed, const Buffers &buffers, std::uint32_t threads)
      : isa_(isa), layer_(layer), packed_(packed), buffers_(buffers), form_(isa, layer),
        grid_(layer.target), scratch_(isa, layer, grid_.count), blocks_(list_blocks(isa, layer)),
        finish_(finish_of(layer, style)) {
    groups_ = (grid_.count + scratch_.tiles - 1) / scratch_.tiles;
    if (threads > 1) groups_ = std::max(groups_, std::min<std::size_t>(grid_.count, threads));
    if (threads > 1 && groups_ < 8 * threads) groups_ = round_up(groups_, threads);
    blank_ = buffers.scratch + threads * scratch_.bytes;
    std::memset(blank_, layer.source.zero, blank_bytes(layer));
  }

  static std::size_t blank_bytes(const Convolution &layer) {
    return layer.source.channels + kSlackBytes;
  }

  std::uint32_t tasks() const { return static_cast<std::uint32_t>(groups_); }

  void do_group(std::uint32_t group, std::uint32_t thread) const {
    std::uint8_t *own = buffers_.scratch + thread * scratch_.bytes;
    const Group tiles{grid_.count * group / groups_, grid_.count * (group + 1) / groups_,
                      reinterpret_cast<std::int16_t *>(own),
                      reinterpret_cast<std::int32_t *>(own + scratch_.source_bytes)};
    auto *starts = reinterpret_cast<std::uint32_t *>(own + scratch_.source_bytes +
                                                     scratch_.sums_bytes);
    for (std::size_t i = 0; i < tiles.count(); ++i) {
      transform_tile(tiles, i);
      starts[i] = static_cast<std::uint32_t>(i * scratch_.channels * sizeof(std::int16_t));
    }
    for (const Block &block : blocks_) {
      multiply(tiles, block, starts);
      for (std::size_t i = 0; i < tiles.count(); ++i) write_tile(tiles, block, i);
    }
  }

 private:
  struct Group {
    std::size_t first, last;
    std::int16_t *source;
    std::int32_t *sums;

    std::size_t count() const { return last - first; }
  };

  struct Place {
    std::uint32_t n, y, x;  // the tile's first pixel in the target
  };

  Place place_of(std::size_t tile) const {
    const std::size_t row = tile / grid_.columns;
    return {static_cast<std::uint32_t>(row / grid_.rows),
            static_cast<std::uint32_t>(row % grid_.rows * kTileStep),
            static_cast<std::uint32_t>(tile % grid_.columns * kTileStep)};
  }

  void transform_tile(const Group &tiles, std::size_t index) const {
    const Place at = place_of(tiles.first + index);
    const std::int64_t top = std::int64_t{at.y} - layer_.window.top;
    const std::int64_t left = std::int64_t{at.x} - layer_.window.left;
    const std::uint8_t *pixels[kTilePositions];
    for (std::uint32_t i = 0; i < kTilePositions; ++i) {
      const std::uint8_t *pixel = pixel_at(layer_.source, buffers_.source, at.n,
                                           top + i / kTileSide, left + i % kTileSide);
      pixels[i] = pixel ? pixel : blank_;
    }
    isa_.tiles->in({pixels, layer_.source.channels, static_cast<std::int16_t>(layer_.source.zero),
                    tiles.source + index * scratch_.channels, tiles.count() * scratch_.channels});
  }

  std::size_t sum_stride(const Block &block) const {
    return std::size_t{block.vectors} * isa_.lanes;
  }

  void multiply(const Group &tiles, const Block &block, const std::uint32_t *starts) const {
    const std::uint32_t tap = 0;
    const std::size_t bytes = form_.position_bytes(block);
    Panel panel{};
    panel.starts = starts;
    panel.pixels = static_cast<std::uint32_t>(tiles.count());
    panel.taps = &tap;
    panel.tap_count = 1;
    panel.tap_steps = static_cast<std::uint32_t>(form_.steps);
    panel.vectors = block.vectors;
    panel.sum_stride = sum_stride(block);
    panel.next_bytes = bytes;
    for (std::size_t position = 0; position < kTilePositions; ++position) {
      panel.source = reinterpret_cast<const std::uint8_t *>(
          tiles.source + position * tiles.count() * scratch_.channels);
      panel.weights = packed_ + form_.block_at(block) + position * bytes;
      const bool is_last = position + 1 == kTilePositions && &block == &blocks_.back();
      panel.next = is_last ? nullptr : panel.weights + bytes;
      panel.sums = tiles.sums + position * tiles.count() * panel.sum_stride;
      isa_.multiply_wide(panel);
    }
  }

  void write_tile(const Group &tiles, const Block &block, std::size_t index) const {
    const Image &to = layer_.target;
    const Place at = place_of(tiles.first + index);
    const std::size_t pixel = (std::size_t{at.n} * to.height + at.y) * to.width + at.x;
    const auto *words = reinterpret_cast<const std::int32_t *>(packed_) + block.lanes_before;
    TileTarget tile{};
    tile.sums = tiles.sums + index * sum_stride(block);
    tile.position_stride = tiles.count() * sum_stride(block);
    tile.channels = block.channels;
    tile.rows = std::min(kTileStep, to.height - at.y);
    tile.columns = std::min(kTileStep, to.width - at.x);
    tile.bias = words;
    tile.multiplier = words + form_.lanes;
    tile.offset = words + 2 * form_.lanes;
    tile.finish = &finish_;
    tile.row_pixels = to.width;
    tile.target_stride = to.pixel_stride;
    tile.target =
        static_cast<std::uint8_t *>(buffers_.target) + pixel * to.pixel_stride + block.first;
    tile.other_stride = layer_.residual.pixel_stride;
    if (finish_.joins) tile.other = buffers_.other + pixel * tile.other_stride + block.first;
    isa_.tiles->out(tile);
  }

  const InferKernels &isa_;
  const Convolution &layer_;
  const std::uint8_t *packed_;
  const Buffers &buffers_;
  Form form_;
  Grid grid_;
  Scratch scratch_;
  std::vector<Block> blocks_;
  Finish finish_;
  std::size_t groups_;
  std::uint8_t *blank_;
};

}  // namespace

bool fits(const Convolution &layer) {
  const Window &window = layer.window;
  return layer.rescaled && layer.groups == 1 && window.rows == 3 && window.columns == 3 &&
         window.row_stride == 1 && window.column_stride == 1 && window.row_dilation == 1 &&
         window.column_dilation == 1;
}

bool is_exact(const Convolution &layer, const std::int8_t *weight) {
  const std::size_t count = std::size_t{9} * layer.source.channels;
  for (std::uint32_t channel = 0; channel < layer.target.channels; ++channel) {
    const Range sums = range_of(layer, weight + channel * count, count);
    if (sums.high >= kLimit || sums.low <= -kLimit) return false;
  }
  return true;
}

bool is_worthwhile(const Convolution &layer) {
  const Image &to = layer.target;
  const std::size_t tiles = Grid(to).count;
  return layer.source.channels >= 32 && to.channels >= 32 && tiles >= kFewestTiles &&
         4 * pixels(to) >= 3 * tiles * kTileStep * kTileStep;
}

std::size_t packed_bytes(const InferKernels &isa, const Convolution &layer) {
  return Form(isa, layer).bytes;
}

void pack(const InferKernels &isa, const Convolution &layer, Style style,
          const Parameters &parameters, std::uint8_t *packed) {
  const Form form(isa, layer);
  const std::uint32_t inner = layer.source.channels;
  std::memset(packed, 0, form.bytes);
  auto *words = reinterpret_cast<std::int32_t *>(packed);
  for (const Block &block : list_blocks(isa, layer))
    for (std::uint32_t i = 0; i < block.channels; ++i) {
      const std::size_t channel = block.first + i, lane = block.lanes_before + i;
      const std::int8_t *weight = parameters.weight + channel * inner * 9;
      // the zero is taken off before the transform
      words[lane] = parameters.bias[channel] + layer.rescale.pre_half;
      words[form.lanes + lane] = factor_of(parameters.multiplier[channel], style);
      words[2 * form.lanes + lane] = parameters.offset[channel];
      for (std::uint32_t c = 0; c < inner; ++c) {
        std::int16_t transformed[kTilePositions];
        transform_weight(weight + c * 9, transformed);
        std::uint8_t *to = packed + form.block_at(block) +
                           c / 2 * block.vectors * form.vector_bytes + i * kStepBytes + c % 2 * 2;
        for (std::size_t position = 0; position < kTilePositions; ++position)
          std::memcpy(to + position * form.position_bytes(block), transformed + position, 2);
      }
    }
}

std::size_t scratch_bytes(const InferKernels &isa, const Convolution &layer,
                          std::uint32_t threads) {
  const Scratch scratch(isa, layer, Grid(layer.target).count);
  return threads * scratch.bytes + Run::blank_bytes(layer);
}

void convolve(const InferKernels &isa, const Convolution &layer, Style style,
              const std::uint8_t *packed, const Buffers &buffers, Team &team) {
  const Run run(isa, layer, style, packed, buffers, team.threads());
  team.run(run.tasks(), [&](std::uint32_t task, std::uint32_t thread) {
    run.do_group(task, thread);
  });
}

}  // namespace farmcpu::infer::winograd
