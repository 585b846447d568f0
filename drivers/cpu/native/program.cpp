#include "program.hpp"

#include <algorithm>
#include <cstring>
#include <sstream>

namespace farmcpu {
namespace {

constexpr std::int64_t kMaxValues = 1 << 20, kMaxDimension = 1 << 24, kMaxSize = 1 << 30;
constexpr std::int64_t kMaxNumbers = 4096;

[[noreturn]] void refuse(const std::string &why) { throw Failure(FARMCPU_BAD_ARGUMENT, why); }

}  // namespace

class Program::Loader {
 public:
  Loader(Program &program, const std::string &text, std::uint64_t memory_limit_bytes)
      : program_(program), words_(text), memory_left_(memory_limit_bytes) {}

  void load(const std::int32_t *parameters, std::size_t parameter_words) {
    read_values();
    read_parameters(parameters, parameter_words);
    read_steps();
    read_heads();
    if (std::string rest; words_ >> rest) refuse("there is more text after the heads");
  }

 private:
  std::string word(const char *what) {
    std::string found;
    if (!(words_ >> found)) refuse(std::string("the program ends before ") + what);
    return found;
  }

  void expect(const char *keyword) {
    if (word(keyword) != keyword) refuse(std::string("expected ") + keyword);
  }

  std::int64_t number(const char *what, std::int64_t low, std::int64_t high) {
    std::int64_t found = 0;
    if (!(words_ >> found)) refuse(std::string("no number for ") + what);
    if (found < low || found > high) refuse(std::string(what) + " is out of range");
    return found;
  }

  std::size_t value_number() {
    return static_cast<std::size_t>(
        number("value", 0, static_cast<std::int64_t>(program_.values_.size()) - 1));
  }

  void read_values() {
    expect("values");
    const std::int64_t count = number("values", 1, kMaxValues);
    for (std::int64_t i = 0; i < count; ++i) {
      auto value = std::make_unique<Value>();
      value->precision = number("precision", 1, 32);
      value->shape.resize(static_cast<std::size_t>(number("dimensions", 1, 6)));
      std::int64_t size = 1;
      for (std::int64_t &d : value->shape) {
        d = number("dimension", 1, kMaxDimension);
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
    expect("parameters");
    for (std::int64_t count = number("parameters", 0, kMaxValues); count--;) {
      const std::size_t at = value_number();
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
    expect("steps");
    for (std::int64_t count = number("steps", 0, kMaxValues); count--;) {
      Operands step;
      step.memory_left = &memory_left_;
      step.op = word("an operator");
      for (std::int64_t n = number("inputs", 1, kMaxNumbers); n--;) {
        const std::size_t at = value_number();
        if (!is_set_[at]) refuse(step.op + " uses a value that is not set yet");
        step.inputs.push_back(program_.values_[at].get());
      }
      for (std::int64_t n = number("outputs", 1, 16); n--;) {
        const std::size_t at = value_number();
        set(at);
        step.outputs.push_back(program_.values_[at].get());
      }
      read_attributes(step);
      program_.kernels_.push_back(bind(step));
    }
  }

  void read_attributes(Operands &step) {
    for (std::int64_t n = number("attributes", 0, 64); n--;) {
      const std::string name = word("an attribute");
      Numbers numbers(static_cast<std::size_t>(number("attribute size", 0, kMaxNumbers)));
      for (std::int64_t &x : numbers) x = number("attribute", INT32_MIN, INT32_MAX);
      step.attributes[name] = std::move(numbers);
    }
  }

  void read_heads() {
    expect("heads");
    for (std::int64_t count = number("heads", 1, kMaxNumbers); count--;) {
      const std::size_t at = value_number();
      if (!is_set_[at]) refuse("a head is never set");
      program_.heads_.push_back(program_.values_[at].get());
    }
  }

  Program &program_;
  std::istringstream words_;
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
