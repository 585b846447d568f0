// Binds each layer of a packed plan to its kernel and its memory.
#include "plan_reader.hpp"

namespace farmcpu {

Plan::Step PlanReader::bind(const PlanLayer &layer) {
  switch (layer.kind) {
    case LayerKind::kConvolution: return bind_convolution(layer);
    case LayerKind::kPool: return bind_pool(layer);
    case LayerKind::kToBytes: return bind_to_bytes(layer);
    case LayerKind::kGeneral: return bind_general(layer);
    default: return bind_forms(layer);
  }
}

Plan::Step PlanReader::bind_convolution(const PlanLayer &layer) {
  const infer::Convolution form = layer.convolution;
  infer::Buffers buffers{};
  buffers.source = read_image(layer.source_at, form.source);
  if (form.has_residual) buffers.other = other(layer.other_at, form.residual, form.target);
  if (form.rescaled)
    buffers.target = write_image(layer.target_at, form.target);
  else
    buffers.target = write_words(layer.target_at, form.target);
  check_convolution(form);
  const auto *packed = items<std::uint8_t>(layer.packed_at, layer.packed_bytes, "weights");
  expect(layer.packed_at % infer::kAlignment == 0, "has weights that are not aligned");
  const auto method = static_cast<infer::Method>(layer.method);
  expect(layer.method < infer::kMethods &&
             layer.packed_bytes == infer::packed_bytes(form, method) &&
             infer::is_packed(packed, method),
         "has weights of another form");
  buffers.scratch = scratch(infer::scratch_bytes(form, method, engine_.team.threads()));
  return [form, packed, buffers, &team = engine_.team](const std::int32_t *) {
    if (!infer::convolve(form, packed, buffers, team)) refuse_plan("has weights of another form");
  };
}

Plan::Step PlanReader::bind_pool(const PlanLayer &layer) {
  const infer::Pool form = layer.pool;
  const std::uint8_t *source = read_image(layer.source_at, form.source);
  check_window(form.window, form.source, form.target);
  check_rescale(form.rescale);
  expect(form.source.channels == form.target.channels, "pools into other channels");
  const bool is_bytes = form.largest || form.rescaled;
  void *target = is_bytes ? static_cast<void *>(write_image(layer.target_at, form.target))
                          : write_words(layer.target_at, form.target);
  const std::int32_t *multiplier = nullptr, *offset = nullptr;
  if (form.rescaled) {
    multiplier = numbers(layer.multiplier_at, form.target);
    offset = numbers(layer.offset_at, form.target);
  }
  return [=, &team = engine_.team](const std::int32_t *) {
    infer::pool(form, multiplier, offset, source, target, team);
  };
}

Plan::Step PlanReader::bind_forms(const PlanLayer &layer) {
  const PlanForms forms = layer.forms;
  const infer::Image from = forms.from, to = forms.to;
  infer::Team &team = engine_.team;
  const std::uint8_t *source = read_image(layer.source_at, from);
  if (layer.kind == LayerKind::kToWords) {
    std::int32_t *target = write_words(layer.target_at, from);
    return [=, &team](const std::int32_t *) { infer::to_words(from, source, target, team); };
  }
  expect(same_shape(from, to), "has images that do not fit");
  const std::uint8_t *added =
      layer.kind == LayerKind::kAdd ? other(layer.other_at, forms.residual, to) : nullptr;
  std::uint8_t *target = write_image(layer.target_at, to);
  switch (layer.kind) {
    case LayerKind::kCopy:
      return [=, &team](const std::int32_t *) { infer::copy(from, to, source, target, team); };
    case LayerKind::kLookup: {
      expect(layer.packed_bytes == 256, "has a wrong table");
      const auto *table = items<std::uint8_t>(layer.packed_at, 256, "table");
      return [=, &team](const std::int32_t *) {
        infer::look_up(from, to, table, source, target, team);
      };
    }
    case LayerKind::kScale: {
      check_rescale(forms.rescale);
      const std::int32_t *multiplier = numbers(layer.multiplier_at, to);
      const std::int32_t *offset = numbers(layer.offset_at, to);
      return [=, &team](const std::int32_t *) {
        infer::scale(from, to, forms.rescale, multiplier, offset, source, target, team);
      };
    }
    case LayerKind::kAdd:
      return [=, &team](const std::int32_t *) {
        infer::add(from, to, forms.residual, source, added, target, team);
      };
    default: refuse_plan("has a layer of an unknown kind");
  }
}

Plan::Step PlanReader::bind_to_bytes(const PlanLayer &layer) {
  const infer::Image to = layer.forms.to;
  std::uint8_t *target = write_image(layer.target_at, to);
  infer::Team &team = engine_.team;
  if (layer.source_at == kNowhere) {  // the input, where the caller has it
    expect(count_of(to) == static_cast<std::uint64_t>(plan_.values_[0]->size()),
           "has another input");
    return [=, &team](const std::int32_t *input) { infer::to_bytes(to, input, target, team); };
  }
  const std::int32_t *source = read_words(layer.source_at, to);
  return [=, &team](const std::int32_t *) { infer::to_bytes(to, source, target, team); };
}

}  // namespace farmcpu
