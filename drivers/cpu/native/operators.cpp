#include "operators.hpp"

#include <algorithm>

namespace farmcpu {

void take_memory(std::uint64_t &left, std::uint64_t bytes) {
  if (bytes > left)
    throw Failure(FARMCPU_NO_MEMORY, "the model needs more memory than it may have");
  left -= bytes;
}

void Operands::refuse(const std::string &why) const {
  throw Failure(FARMCPU_BAD_ARGUMENT, op + ": " + why);
}

void Operands::take(std::size_t fewest, std::size_t most) const {
  require(inputs.size() >= fewest && inputs.size() <= most, "wrong number of inputs");
  require(outputs.size() == 1, "wrong number of outputs");
}

void Operands::require_shape(const Shape &shape) const {
  require(out().shape == shape, "the output shape does not follow from the inputs");
}

void Operands::require_same_size() const {
  require(in(0).size() == out().size(), "input and output differ in size");
}

std::int64_t Operands::number(const std::string &name, std::int64_t low, std::int64_t high) const {
  const Numbers found = numbers(name);
  if (found.size() != 1) refuse(name + " must be one number");
  if (found[0] < low || found[0] > high) refuse(name + " is out of range");
  return found[0];
}

std::int64_t Operands::number(const std::string &name, std::int64_t low, std::int64_t high,
                              std::int64_t otherwise) const {
  return has(name) ? number(name, low, high) : otherwise;
}

Numbers Operands::numbers(const std::string &name) const {
  const auto found = attributes.find(name);
  if (found == attributes.end()) refuse(name + " is missing");
  return found->second;
}

Numbers Operands::pair(const std::string &name, std::int64_t low, std::int64_t high,
                       std::int64_t otherwise) const {
  Numbers found = has(name) ? numbers(name) : Numbers{otherwise};
  if (found.size() == 1) found.push_back(found[0]);
  if (found.size() != 2) refuse(name + " must be one or two numbers");
  for (std::int64_t x : found)
    if (x < low || x > high) refuse(name + " is out of range");
  return found;
}

std::size_t Operands::axis(std::int64_t number, std::size_t dimensions) const {
  const auto count = static_cast<std::int64_t>(dimensions);
  require(number >= -count && number < count, "axis is out of range");
  return static_cast<std::size_t>(number < 0 ? number + count : number);
}

const std::int32_t *bias_of(const Operands &step, std::int64_t channels) {
  if (step.inputs.size() < 3) return nullptr;
  step.require(step.in(2).shape == Shape{channels}, "the bias must be one number a channel");
  return step.in(2).words.data();
}

Numbers strides_of(const Shape &shape) {
  Numbers strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

std::int64_t size_of(const Shape &shape) {
  std::int64_t size = 1;
  for (std::int64_t d : shape) size *= d;
  return size;
}

Kernel bind(const Operands &step) {
  for (const Table *table :
       {&elementwise_operators(), &layout_operators(), &reduction_operators(),
        &convolution_operators(), &pooling_operators(), &detection_operators(),
        &scaling_operators(), &sampling_operators(), &arrangement_operators(),
        &normalisation_operators(), &region_operators()})
    if (const auto found = table->find(step.op); found != table->end()) return found->second(step);
  throw Failure(FARMCPU_NOT_SUPPORTED, "operator " + step.op + " is not available on the CPU");
}

}  // namespace farmcpu
