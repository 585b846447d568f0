#include "infer_packing.hpp"

namespace farmcpu::infer {
namespace {

bool is_half(std::int64_t x) { return x >= INT16_MIN && x <= INT16_MAX; }

bool joins_halves(const Convolution &layer) {
  const Residual &by = layer.residual;
  return !layer.has_residual || (is_half(by.own) && is_half(by.theirs) &&
                                 is_half(layer.rescale.low) && is_half(layer.rescale.high));
}

}  // namespace

Style find_style(const Convolution &layer, const Parameters &parameters) {
  const Rescale &by = layer.rescale;
  if (!layer.rescaled || !joins_halves(layer)) return Style::kGeneral;
  const std::size_t count = std::size_t{layer.source.channels / layer.groups} *
                            layer.window.rows * layer.window.columns;
  bool fits = true, clips = false;
  for (std::uint32_t channel = 0; channel < layer.target.channels; ++channel) {
    if (!is_half(parameters.multiplier[channel])) return Style::kGeneral;
    const Range sums = range_of(layer, parameters.weight + channel * count, count);
    const std::int64_t added = std::int64_t{parameters.bias[channel]} + by.pre_half;
    const std::int64_t low = (sums.low + added) >> by.pre_shift;
    const std::int64_t high = (sums.high + added) >> by.pre_shift;
    fits = fits && is_half(low) && is_half(high);
    clips = clips || low < by.pre_low || high > by.pre_high;
  }
  if (fits && !clips) return Style::kHalves;
  const bool clipped = is_half(by.pre_low) && is_half(by.pre_high);
  return clipped ? Style::kClippedHalves : Style::kGeneral;
}

}  // namespace farmcpu::infer
