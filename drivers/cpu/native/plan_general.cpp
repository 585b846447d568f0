// General steps of a packed plan: the int32 operators that programs name.
#include "plan_reader.hpp"

namespace farmcpu {
namespace {

// Reads the words of one step; throws Failure where they end too early.
class StepWords {
 public:
  StepWords(const std::int32_t *at, std::uint64_t count) : at_(at), end_(at + count) {}

  std::int64_t number() {
    take(1);
    return at_[-1];
  }

  // Of things that take a word each at least.
  std::size_t count() {
    const std::int64_t found = number();
    expect(found >= 0 && found <= end_ - at_, kEnds);
    return static_cast<std::size_t>(found);
  }

  // The count of characters, and they, 4 to a word.
  std::string name() {
    const std::int64_t characters = number();
    expect(characters >= 0, kEnds);
    const auto *text = reinterpret_cast<const char *>(at_);
    take((characters + 3) / 4);
    return {text, static_cast<std::size_t>(characters)};
  }

 private:
  static constexpr const char *kEnds = "ends within a general step";

  void take(std::int64_t words) {
    expect(words <= end_ - at_, kEnds);
    at_ += words;
  }

  const std::int32_t *at_, *end_;
};

}  // namespace

// Words: the operator's name; inputs; outputs; attributes, each with its name.
Plan::Step PlanReader::bind_general(const PlanLayer &layer) {
  const std::uint64_t count = layer.packed_bytes / sizeof(std::int32_t);
  StepWords words(items<std::int32_t>(layer.packed_at, count, "general steps"), count);
  Operands step;
  step.memory_left = &memory_left_;
  step.op = words.name();
  for (std::size_t n = words.count(); n--;) {
    step.inputs.push_back(value(words.number()));
    plan_.copies_input_ = plan_.copies_input_ || step.inputs.back() == value(0);
  }
  for (std::size_t n = words.count(); n--;) {
    const std::int64_t number = words.number();
    step.outputs.push_back(value(number));
    expect(!is_constant_[static_cast<std::size_t>(number)], "writes to a constant");
  }
  expect(!step.inputs.empty() && !step.outputs.empty(), "has a step without operands");
  for (std::size_t n = words.count(); n--;) {
    const std::string name = words.name();
    Numbers numbers(words.count());
    for (std::int64_t &x : numbers) x = words.number();
    step.attributes[name] = std::move(numbers);
  }
  return [kernel = farmcpu::bind(step)](const std::int32_t *) { kernel(); };
}

}  // namespace farmcpu
