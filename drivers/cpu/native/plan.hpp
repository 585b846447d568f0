// A packed plan made ready: its blob is checked once, then run as it lies.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "engine.hpp"
#include "operators.hpp"
#include "plan_format.hpp"

namespace farmcpu {

// Of bytes, four lanes side by side: sees any cut or change, but is no proof against a forger.
std::uint64_t checksum_of(const std::uint8_t *bytes, std::size_t count);

class Plan {
 public:
  // `blob` stays the caller's and must outlive the plan. Throws Failure for a blob that is not
  // whole, of another instruction set, or that would leave its memory.
  Plan(Engine &engine, const std::uint8_t *blob, std::size_t bytes);

  std::size_t input_words() const { return static_cast<std::size_t>(values_[0]->size()); }
  std::size_t output_words() const;
  void run(const std::int32_t *input, std::int32_t *output);
  // Seconds of each layer, in their order, summed up over `runs` runs.
  void time(const std::int32_t *input, std::int32_t *output, std::uint32_t runs, double *seconds);
  std::size_t layers() const { return steps_.size(); }

 private:
  friend class PlanReader;

  // Computes a layer; the input is what run() was given.
  using Step = std::function<void(const std::int32_t *input)>;

  Engine &engine_;
  std::vector<std::unique_ptr<Value>> values_;
  std::vector<Step> steps_;
  std::vector<const Value *> heads_;
  bool copies_input_ = false;
};

}  // namespace farmcpu
