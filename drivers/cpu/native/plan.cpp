#include "plan.hpp"

#include <algorithm>
#include <chrono>

#include "plan_reader.hpp"

namespace farmcpu {

Plan::Plan(Engine &engine, const std::uint8_t *blob, std::size_t bytes) : engine_(engine) {
  PlanReader(*this, blob, bytes).read();
}

std::size_t Plan::output_words() const {
  std::size_t words = 0;
  for (const Value *head : heads_) words += head->words.size();
  return words;
}

void Plan::run(const std::int32_t *input, std::int32_t *output) {
  const std::lock_guard hold(engine_.turn);
  if (copies_input_) std::copy_n(input, input_words(), values_[0]->words.begin());
  for (const Step &step : steps_) step(input);
  for (const Value *head : heads_)
    output = std::copy(head->words.begin(), head->words.end(), output);
}

void Plan::time(const std::int32_t *input, std::int32_t *output, std::uint32_t runs,
                double *seconds) {
  const std::lock_guard hold(engine_.turn);
  std::fill_n(seconds, steps_.size(), 0.0);
  if (copies_input_) std::copy_n(input, input_words(), values_[0]->words.begin());
  while (runs--)
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      steps_[i](input);
      seconds[i] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
  for (const Value *head : heads_)
    output = std::copy(head->words.begin(), head->words.end(), output);
}

}  // namespace farmcpu
