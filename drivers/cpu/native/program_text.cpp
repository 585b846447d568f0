#include "program_text.hpp"

namespace farmcpu {
namespace {

constexpr std::int64_t kMaxNumbers = 4096;

[[noreturn]] void refuse(const std::string &why) { throw Failure(FARMCPU_BAD_ARGUMENT, why); }

}  // namespace

std::string ProgramText::word(const char *what) {
  std::string found;
  if (!(words_ >> found)) refuse(std::string("the program ends before ") + what);
  return found;
}

void ProgramText::expect(const char *keyword) {
  if (word(keyword) != keyword) refuse(std::string("expected ") + keyword);
}

std::int64_t ProgramText::number(const char *what, std::int64_t low, std::int64_t high) {
  std::int64_t found = 0;
  if (!(words_ >> found)) refuse(std::string("no number for ") + what);
  if (found < low || found > high) refuse(std::string(what) + " is out of range");
  return found;
}

std::size_t ProgramText::value(std::size_t values) {
  return static_cast<std::size_t>(number("value", 0, static_cast<std::int64_t>(values) - 1));
}

StepText ProgramText::step(std::size_t values) {
  StepText step;
  step.op = word("an operator");
  for (std::int64_t n = number("inputs", 1, kMaxNumbers); n--;)
    step.inputs.push_back(value(values));
  for (std::int64_t n = number("outputs", 1, 16); n--;) step.outputs.push_back(value(values));
  for (std::int64_t n = number("attributes", 0, 64); n--;) {
    const std::string name = word("an attribute");
    Numbers numbers(static_cast<std::size_t>(number("attribute size", 0, kMaxNumbers)));
    for (std::int64_t &x : numbers) x = number("attribute", INT32_MIN, INT32_MAX);
    step.attributes[name] = std::move(numbers);
  }
  return step;
}

void ProgramText::expect_end() {
  if (std::string rest; words_ >> rest) refuse("there is more text after the program");
}

}  // namespace farmcpu
