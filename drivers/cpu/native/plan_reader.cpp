#include "plan_reader.hpp"

#include <cstddef>
#include <cstring>

namespace farmcpu {
namespace {

constexpr std::uint32_t kMostRecords = 1 << 20;

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

void PlanReader::read_header() {
  header_ = *items<PlanHeader>(0, 1, "header");
  expect(!std::memcmp(header_.magic, kPlanMagic, sizeof kPlanMagic), "is none");
  expect(header_.bytes == bytes_, "is cut off");
  expect(!std::strncmp(header_.isa, infer::isa_name(), sizeof header_.isa),
         "is for another instruction set");
  constexpr std::size_t behind = offsetof(PlanHeader, checksum) + sizeof header_.checksum;
  expect(checksum_of(blob_ + behind, bytes_ - behind) == header_.checksum, "is damaged");
  expect(header_.values >= 1 && header_.heads >= 1, "has no input or no heads");
  for (std::uint32_t count : {header_.values, header_.layers, header_.heads})
    expect(count <= kMostRecords, "has too many parts");
  memory_left_ = engine_.workspace.bytes();
  take_memory(memory_left_, bytes_);
  take_memory(memory_left_, header_.workspace_bytes);
}

std::uint8_t *PlanReader::place(std::uint64_t at, std::uint64_t bytes) const {
  const std::uint64_t all = header_.workspace_bytes;
  expect(at <= all && bytes + infer::kSlackBytes <= all - at, "leaves its memory");
  return engine_.workspace.data() + at;
}

// Scratch memory, which all layers share, lies behind everything else.
std::uint8_t *PlanReader::scratch(std::uint64_t bytes) {
  if (bytes > scratch_bytes_) {
    take_memory(memory_left_, bytes - scratch_bytes_);
    scratch_bytes_ = bytes;
  }
  const std::uint64_t at = (header_.workspace_bytes + infer::kAlignment - 1) /
                           infer::kAlignment * infer::kAlignment;
  return engine_.workspace.data() + at;  // the blob's share, not taken here, covers the alignment
}

void PlanReader::expect_written(const void *place, Form form) const {
  const auto found = written_.find(place);
  expect(found != written_.end() && found->second == form, "reads what no layer has written");
}

const std::uint8_t *PlanReader::read_image(std::uint64_t at, const infer::Image &image) const {
  const std::uint8_t *found = place(at, bytes_of(image));
  expect_written(found, Form::kBytes);
  return found;
}

std::uint8_t *PlanReader::write_image(std::uint64_t at, const infer::Image &image) {
  std::uint8_t *found = place(at, bytes_of(image));
  written_[found] = Form::kBytes;
  return found;
}

std::int32_t *PlanReader::write_words(std::uint64_t at, const infer::Image &image) {
  expect(at % infer::kAlignment == 0, "has words that are not aligned");
  std::uint8_t *found = place(at, count_of(image) * sizeof(std::int32_t));
  written_[found] = Form::kWords;
  return reinterpret_cast<std::int32_t *>(found);
}

const std::int32_t *PlanReader::read_words(std::uint64_t at, const infer::Image &image) const {
  expect(at % infer::kAlignment == 0, "has words that are not aligned");
  const std::uint8_t *found = place(at, count_of(image) * sizeof(std::int32_t));
  expect_written(found, Form::kWords);
  return reinterpret_cast<const std::int32_t *>(found);
}

Value *PlanReader::read_value(std::size_t number) const {
  expect(number < header_.values, "names a value that is not there");
  Value *found = plan_.values_[number].get();
  expect_written(found->words.data(), Form::kWords);
  return found;
}

const std::int32_t *PlanReader::numbers(std::uint64_t at, const infer::Image &image) const {
  return items<std::int32_t>(at, image.channels, "multipliers");
}

const std::uint8_t *PlanReader::other(std::uint64_t at, const infer::Residual &residual,
                                      infer::Image image) const {
  check_shift(residual.shift);
  image.pixel_stride = residual.pixel_stride;
  image.zero = residual.zero;
  return read_image(at, image);
}

void PlanReader::read_values() {
  const auto *records = items<PlanValue>(header_.values_at, header_.values, "values");
  for (std::uint32_t i = 0; i < header_.values; ++i) add_value(records[i]);
  expect(!is_constant_[0], "has a constant for its input");
  written_[plan_.values_[0]->words.data()] = Form::kWords;
}

void PlanReader::add_value(const PlanValue &record) {
  const std::uint64_t count = check_value(record);
  // A constant is never written: bind_general() refuses it as an output.
  std::int32_t *words =
      record.is_constant
          ? const_cast<std::int32_t *>(items<std::int32_t>(record.at, count, "constants"))
          : reinterpret_cast<std::int32_t *>(place(record.at, count * sizeof(std::int32_t)));
  Shape shape(record.shape, record.shape + record.dimensions);
  plan_.values_.push_back(
      std::make_unique<Value>(Value{std::move(shape), record.precision, {words, count}}));
  is_constant_.push_back(record.is_constant);
  if (record.is_constant) written_[words] = Form::kWords;
}

void PlanReader::read_heads() {
  const auto *heads = items<std::uint32_t>(header_.heads_at, header_.heads, "heads");
  for (std::uint32_t i = 0; i < header_.heads; ++i) {
    plan_.heads_.push_back(read_value(heads[i]));
    plan_.copies_input_ = plan_.copies_input_ || heads[i] == 0;
  }
}

}  // namespace farmcpu
