#include "plan_reader.hpp"

#include <cstddef>
#include <cstring>

namespace farmcpu {
namespace {

constexpr std::uint64_t kMostRecords = 1 << 20, kMostBytes = std::uint64_t{1} << 40;
constexpr std::uint32_t kMostSize = 1 << 24;

[[noreturn]] void refuse(const std::string &why) {
  throw Failure(FARMCPU_BAD_ARGUMENT, "the packed plan " + why);
}

[[noreturn]] void refuse_memory() {
  throw Failure(FARMCPU_NO_MEMORY, "the model needs more memory than it may have");
}

void expect(bool condition, const char *why) {
  if (!condition) refuse(why);
}

// Bytes from the first pixel to the end of the last.
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

void check(const infer::Rescale &rescale) {
  check_shift(rescale.pre_shift);
  check_shift(rescale.shift);
  expect(rescale.low <= rescale.high && rescale.pre_low <= rescale.pre_high, "has a wrong clip");
}

// One dimension of a window: whether it gives `target` positions, each of them over the source.
void check_window(std::uint32_t source, std::uint32_t target, std::uint32_t size,
                  std::uint32_t stride, std::uint32_t before, std::uint32_t after,
                  std::uint32_t dilation) {
  for (std::uint32_t number : {size, stride, dilation})
    expect(number >= 1 && number <= kMostSize, "has a wrong window");
  expect(before <= kMostSize && after <= kMostSize, "has a wrong padding");
  const std::int64_t spread = std::int64_t{size - 1} * dilation + 1;
  const std::int64_t room = std::int64_t{source} + before + after - spread;
  expect(room >= 0 && room / stride + 1 == target, "has a window that does not fit");
}

void check(const infer::Window &w, const infer::Image &source, const infer::Image &target) {
  expect(source.batch == target.batch, "changes the batch");
  check_window(source.height, target.height, w.rows, w.row_stride, w.top, w.bottom,
               w.row_dilation);
  check_window(source.width, target.width, w.columns, w.column_stride, w.left, w.right,
               w.column_dilation);
}

}  // namespace

PlanReader::PlanReader(Plan &plan, const std::uint8_t *blob, std::size_t bytes)
    : plan_(plan), engine_(plan.engine_), blob_(blob), bytes_(bytes) {}

void PlanReader::read() {
  read_header();
  read_values();
  const auto *layers = items<PlanLayer>(header_.layers_at, header_.layers, "layers");
  plan_.steps_.reserve(header_.layers);
  for (std::uint32_t i = 0; i < header_.layers; ++i) plan_.steps_.push_back(bind(layers[i]));
  read_heads();
}

template <typename Item>
const Item *PlanReader::items(std::uint64_t at, std::uint64_t count, const char *what) const {
  if (at % alignof(Item) || at > bytes_ || count > (bytes_ - at) / sizeof(Item))
    refuse(std::string("ends before its ") + what);
  return reinterpret_cast<const Item *>(blob_ + at);
}

void PlanReader::read_header() {
  header_ = *items<PlanHeader>(0, 1, "header");
  expect(!std::memcmp(header_.magic, kPlanMagic, sizeof kPlanMagic), "is none");
  expect(header_.version == kPlanVersion && header_.header_bytes == sizeof header_,
         "is of another version");
  expect(header_.bytes == bytes_, "is cut off");
  expect(!std::strncmp(header_.isa, infer::isa_name(), sizeof header_.isa),
         "is for another instruction set");
  constexpr std::size_t behind = offsetof(PlanHeader, checksum) + sizeof header_.checksum;
  expect(checksum_of(blob_ + behind, bytes_ - behind) == header_.checksum, "is damaged");
  expect(header_.values >= 1 && header_.heads >= 1, "has no input or no heads");
  for (std::uint32_t count : {header_.values, header_.layers, header_.heads})
    expect(count <= kMostRecords, "has too many parts");
  if (header_.workspace_bytes > engine_.workspace.bytes()) refuse_memory();
}

std::uint8_t *PlanReader::place(std::uint64_t at, std::uint64_t bytes) const {
  const std::uint64_t all = header_.workspace_bytes;
  expect(at <= all && bytes + infer::kSlackBytes <= all - at, "leaves its memory");
  return engine_.workspace.data() + at;
}

// Scratch memory lies behind everything else.
std::uint8_t *PlanReader::scratch(std::uint64_t bytes) const {
  const std::uint64_t at = (header_.workspace_bytes + infer::kAlignment - 1) /
                           infer::kAlignment * infer::kAlignment;
  if (at > engine_.workspace.bytes() || bytes > engine_.workspace.bytes() - at) refuse_memory();
  return engine_.workspace.data() + at;
}

std::uint8_t *PlanReader::image(std::uint64_t at, const infer::Image &image) const {
  return place(at, bytes_of(image));
}

std::int32_t *PlanReader::words(std::uint64_t at, const infer::Image &image) const {
  expect(at % infer::kAlignment == 0, "has words that are not aligned");
  return reinterpret_cast<std::int32_t *>(place(at, count_of(image) * sizeof(std::int32_t)));
}

const std::int32_t *PlanReader::numbers(std::uint64_t at, const infer::Image &image) const {
  return items<std::int32_t>(at, image.channels, "multipliers");
}

void PlanReader::read_values() {
  const auto *records = items<PlanValue>(header_.values_at, header_.values, "values");
  for (std::uint32_t i = 0; i < header_.values; ++i) {
    const PlanValue &record = records[i];
    auto value = std::make_unique<Value>();
    expect(record.dimensions >= 1 && record.dimensions <= 6, "has a wrong shape");
    std::int64_t size = 1;
    for (std::uint32_t d = 0; d < record.dimensions; ++d) {
      expect(record.shape[d] >= 1 && record.shape[d] <= kMostSize, "has a wrong shape");
      expect(size <= (std::int64_t{1} << 30) / record.shape[d], "has too large a value");
      size *= record.shape[d];
    }
    value->shape.assign(record.shape, record.shape + record.dimensions);
    value->precision = record.precision;
    expect(record.at % infer::kAlignment == 0, "has words that are not aligned");
    const auto count = static_cast<std::uint64_t>(size);
    std::int32_t *start =
        record.is_constant
            ? const_cast<std::int32_t *>(items<std::int32_t>(record.at, count, "constants"))
            : reinterpret_cast<std::int32_t *>(place(record.at, count * sizeof(std::int32_t)));
    value->words = {start, count};
    plan_.values_.push_back(std::move(value));
    is_constant_.push_back(record.is_constant);
  }
  expect(!is_constant_[0], "has a constant for its input");
}

Value *PlanReader::value(std::int64_t number) const {
  expect(number >= 0 && number < std::int64_t{header_.values}, "names a value that is not there");
  return plan_.values_[static_cast<std::size_t>(number)].get();
}

void PlanReader::read_heads() {
  const auto *heads = items<std::uint32_t>(header_.heads_at, header_.heads, "heads");
  for (std::uint32_t i = 0; i < header_.heads; ++i) {
    plan_.heads_.push_back(value(heads[i]));
    plan_.copies_input_ = plan_.copies_input_ || heads[i] == 0;
  }
}

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
  buffers.source = image(layer.source_at, form.source);
  if (form.rescaled)
    buffers.target = image(layer.target_at, form.target);
  else
    buffers.target = words(layer.target_at, form.target);
  check(form.window, form.source, form.target);
  check(form.rescale);
  check_shift(form.residual.shift);
  expect(form.groups >= 1 && form.source.channels % form.groups == 0 &&
             form.target.channels % form.groups == 0,
         "has groups that do not fit");
  if (form.has_residual) {
    expect(form.rescaled, "adds to sums");
    infer::Image other = form.target;
    other.pixel_stride = form.residual.pixel_stride;
    other.zero = form.residual.zero;
    buffers.other = image(layer.other_at, other);
  }
  const auto *packed = items<std::uint8_t>(layer.packed_at, layer.packed_bytes, "weights");
  expect(layer.packed_at % infer::kAlignment == 0, "has weights that are not aligned");
  const auto method = static_cast<infer::Method>(layer.method);
  expect(layer.method < infer::kMethods && layer.packed_bytes == infer::packed_bytes(form, method),
         "has weights of another form");
  buffers.scratch = scratch(infer::scratch_bytes(form, method, engine_.team.threads()));
  return [form, packed, buffers, &team = engine_.team](const std::int32_t *) {
    if (!infer::convolve(form, packed, buffers, team)) refuse("has weights of another form");
  };
}

Plan::Step PlanReader::bind_pool(const PlanLayer &layer) {
  const infer::Pool form = layer.pool;
  const std::uint8_t *source = image(layer.source_at, form.source);
  check(form.window, form.source, form.target);
  check(form.rescale);
  expect(form.source.channels == form.target.channels, "pools into other channels");
  const bool is_bytes = form.largest || form.rescaled;
  void *target = is_bytes ? static_cast<void *>(image(layer.target_at, form.target))
                          : words(layer.target_at, form.target);
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
  const std::uint8_t *source = image(layer.source_at, from);
  if (layer.kind == LayerKind::kToWords) {
    std::int32_t *target = words(layer.target_at, from);
    return [=, &team](const std::int32_t *) { infer::to_words(from, source, target, team); };
  }
  expect(same_shape(from, to), "has images that do not fit");
  std::uint8_t *target = image(layer.target_at, to);
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
      check(forms.rescale);
      const std::int32_t *multiplier = numbers(layer.multiplier_at, to);
      const std::int32_t *offset = numbers(layer.offset_at, to);
      return [=, &team](const std::int32_t *) {
        infer::scale(from, to, forms.rescale, multiplier, offset, source, target, team);
      };
    }
    case LayerKind::kAdd: {
      check_shift(forms.residual.shift);
      infer::Image theirs = to;
      theirs.pixel_stride = forms.residual.pixel_stride;
      theirs.zero = forms.residual.zero;
      const std::uint8_t *other = image(layer.other_at, theirs);
      return [=, &team](const std::int32_t *) {
        infer::add(from, to, forms.residual, source, other, target, team);
      };
    }
    default: refuse("has a layer of an unknown kind");
  }
}

Plan::Step PlanReader::bind_to_bytes(const PlanLayer &layer) {
  const infer::Image to = layer.forms.to;
  std::uint8_t *target = image(layer.target_at, to);
  infer::Team &team = engine_.team;
  if (layer.source_at == kNowhere) {  // the input, where the caller has it
    expect(count_of(to) == static_cast<std::uint64_t>(plan_.values_[0]->size()),
           "has another input");
    return [=, &team](const std::int32_t *input) { infer::to_bytes(to, input, target, team); };
  }
  const std::int32_t *source = words(layer.source_at, to);
  return [=, &team](const std::int32_t *) { infer::to_bytes(to, source, target, team); };
}

// Words: characters of the operator's name, and they, 4 to a word; inputs; outputs; attributes, each
// with its name likewise.
Plan::Step PlanReader::bind_general(const PlanLayer &layer) {
  const std::uint64_t count = layer.packed_bytes / sizeof(std::int32_t);
  const auto *at = items<std::int32_t>(layer.packed_at, count, "general steps");
  const auto *end = at + count;
  const auto next = [&]() -> std::int64_t {
    expect(at < end, "ends within a general step");
    return *at++;
  };
  const auto next_count = [&]() {
    const std::int64_t number = next();
    expect(number >= 0 && number <= end - at, "ends within a general step");
    return static_cast<std::size_t>(number);
  };
  const auto next_name = [&]() {
    const std::int64_t characters = next();
    expect(characters >= 0 && (characters + 3) / 4 <= end - at, "ends within a general step");
    std::string name(reinterpret_cast<const char *>(at), static_cast<std::size_t>(characters));
    at += (characters + 3) / 4;
    return name;
  };
  Operands step;
  step.op = next_name();
  for (std::size_t n = next_count(); n--;) {
    step.inputs.push_back(value(next()));
    plan_.copies_input_ = plan_.copies_input_ || step.inputs.back() == value(0);
  }
  for (std::size_t n = next_count(); n--;) {
    const std::int64_t number = next();
    step.outputs.push_back(value(number));
    expect(!is_constant_[static_cast<std::size_t>(number)], "writes to a constant");
  }
  expect(!step.inputs.empty() && !step.outputs.empty(), "has a step without operands");
  for (std::size_t n = next_count(); n--;) {
    const std::string name = next_name();
    Numbers numbers(next_count());
    for (std::int64_t &x : numbers) x = next();
    step.attributes[name] = std::move(numbers);
  }
  return [kernel = farmcpu::bind(step)](const std::int32_t *) { kernel(); };
}

}  // namespace farmcpu
