// General steps of a packed plan: the int32 operators that programs name.
#include "plan_reader.hpp"
#include "program_text.hpp"

namespace farmcpu {

Plan::Step PlanReader::bind_general(const PlanLayer &layer) {
  const auto *at = items<char>(layer.packed_at, layer.packed_bytes, "general steps");
  ProgramText text(std::string(at, layer.packed_bytes));
  const StepText words = text.step(header_.values);
  text.expect_end();
  Operands step{words.op, {}, {}, words.attributes, &memory_left_};
  for (const std::size_t number : words.inputs) {
    step.inputs.push_back(read_value(number));
    plan_.copies_input_ = plan_.copies_input_ || number == 0;
  }
  for (const std::size_t number : words.outputs) {
    expect(!is_constant_[number], "writes to a constant");
    step.outputs.push_back(plan_.values_[number].get());
    written_[step.outputs.back()->words.data()] = Form::kWords;
  }
  return [kernel = farmcpu::bind(step)](const std::int32_t *) { kernel(); };
}

}  // namespace farmcpu
