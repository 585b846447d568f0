#include "program.hpp"

#include <algorithm>

#include "program_text.hpp"

namespace farmcpu {
namespace {

constexpr std::int64_t kMaxValues = 1 << 20, kMaxDimension = 1 << 24, kMaxSize = 1 << 30;
constexpr std::int64_t kMaxHeads = 4096;

[[noreturn]] void refuse(const std::string &why) { throw Failure(FARMCPU_BAD_ARGUMENT, why); }

}  // namespace

class Program::Loader {
 public:
  Loader(Program &program, const std::string &text, std::uint64_t memory_limit_bytes)
      : program_(program), text_(text), memory_left_(memory_limit_bytes) {}

  void load(const std::int32_t *parameters, std::size_t parameter_words) {
    read_values();
    read_parameters(parameters, parameter_words);
    read_steps();
    read_heads();
    text_.expect_end();
  }

 private:
  void read_values() {
    text_.expect("values");
    const std::int64_t count = text_.number("values", 1, kMaxValues);
    for (std::int64_t i = 0; i < count; ++i) {
      auto value = std::make_unique<Value>();
      value->precision = text_.number("precision", 1, 32);
      value->shape.resize(static_cast<std::size_t>(text_.number("dimensions", 1, 6)));
      std::int64_t size = 1;
      for (std::int64_t &d : value->shape) {
        d = text_.number("dimension", 1, kMaxDimension);
        if (size > kMaxSize / d) refuse("a value is too large");
        size *= d;
      }
      const std::uint64_t bytes = static_cast<std::uint64_t>(size) * sizeof(std::int32_t);
      take_memory(memory_left_, bytes);
      value->words = program_.memory_.emplace_back(static_cast<std::size_t>(size));
      program_.values_.push_back(std::move(value));
    }
    is_set_.resize(program_.values_.size());
    is_set_[0] = true;
  }

  void set(std::size_t value) {
    if (is_set_[value]) refuse("a value is set twice");
    is_set_[value] = true;
  }

  void read_parameters(const std::int32_t *parameters, std::size_t left) {
    text_.expect("parameters");
    for (std::int64_t count = text_.number("parameters", 0, kMaxValues); count--;) {
      const std::size_t at = text_.value(program_.values_.size());
      set(at);
      auto &words = program_.values_[at]->words;
      if (words.size() > left) refuse("a parameter has no data");
      std::copy(parameters, parameters + words.size(), words.begin());
      parameters += words.size();
      left -= words.size();
    }
    if (left) refuse("there is more parameter data than parameters");
  }

  void read_steps() {
    text_.expect("steps");
    for (std::int64_t count = text_.number("steps", 0, kMaxValues); count--;) {
      const StepText words = text_.step(program_.values_.size());
      Operands step{words.op, {}, {}, words.attributes, &memory_left_};
      for (const std::size_t at : words.inputs) {
        if (!is_set_[at]) refuse(step.op + " uses a value that is not set yet");
        step.inputs.push_back(program_.values_[at].get());
      }
      for (const std::size_t at : words.outputs) {
        set(at);
        step.outputs.push_back(program_.values_[at].get());
      }
      program_.kernels_.push_back(bind(step));
    }
  }

  void read_heads() {
    text_.expect("heads");
    for (std::int64_t count = text_.number("heads", 1, kMaxHeads); count--;) {
      const std::size_t at = text_.value(program_.values_.size());
      if (!is_set_[at]) refuse("a head is never set");
      program_.heads_.push_back(program_.values_[at].get());
    }
  }

  Program &program_;
  ProgramText text_;
  std::uint64_t memory_left_;
  std::vector<bool> is_set_;
};

Program::Program(const std::string &text, const std::int32_t *parameters,
                 std::size_t parameter_words, std::uint64_t memory_limit_bytes) {
  Loader(*this, text, memory_limit_bytes).load(parameters, parameter_words);
}

std::size_t Program::output_words() const {
  std::size_t words = 0;
  for (const Value *head : heads_) words += head->words.size();
  return words;
}

void Program::run(const std::int32_t *input, std::int32_t *output) {
  std::copy(input, input + input_words(), values_[0]->words.begin());
  for (Kernel &kernel : kernels_) kernel();
  for (const Value *head : heads_) output = std::copy(head->words.begin(), head->words.end(), output);
}

}  // namespace farmcpu
