// Checks a packed plan and binds its layers.
#pragma once

#include <unordered_map>

#include "plan.hpp"
#include "plan_checks.hpp"

namespace farmcpu {

class PlanReader {
 public:
  PlanReader(Plan &plan, const std::uint8_t *blob, std::size_t bytes);

  void read();

 private:
  // `count` items that lie in the blob.
  template <typename Item>
  const Item *items(std::uint64_t at, std::uint64_t count, const char *what) const {
    if (at % alignof(Item) || at > bytes_ || count > (bytes_ - at) / sizeof(Item))
      refuse_plan(std::string("ends before its ") + what);
    return reinterpret_cast<const Item *>(blob_ + at);
  }

  void read_header();
  void read_values();
  void add_value(const PlanValue &record);
  void read_heads();

  enum class Form { kBytes, kWords };
  void expect_written(const void *place, Form form) const;

  // Places in the workspace. What is read must have been written last in the same form.
  std::uint8_t *place(std::uint64_t at, std::uint64_t bytes) const;
  std::uint8_t *scratch(std::uint64_t bytes);
  const std::uint8_t *read_image(std::uint64_t at, const infer::Image &image) const;
  std::uint8_t *write_image(std::uint64_t at, const infer::Image &image);
  const std::int32_t *read_words(std::uint64_t at, const infer::Image &image) const;
  std::int32_t *write_words(std::uint64_t at, const infer::Image &image);
  Value *read_value(std::size_t number) const;
  // What a residual adds to `image`.
  const std::uint8_t *other(std::uint64_t at, const infer::Residual &residual,
                            infer::Image image) const;
  // One word of the blob for each channel.
  const std::int32_t *numbers(std::uint64_t at, const infer::Image &image) const;

  Plan::Step bind(const PlanLayer &layer);
  Plan::Step bind_convolution(const PlanLayer &layer);
  Plan::Step bind_pool(const PlanLayer &layer);
  Plan::Step bind_forms(const PlanLayer &layer);
  Plan::Step bind_to_bytes(const PlanLayer &layer);
  Plan::Step bind_general(const PlanLayer &layer);

  Plan &plan_;
  Engine &engine_;
  const std::uint8_t *blob_;
  std::size_t bytes_;
  PlanHeader header_{};
  std::uint64_t memory_left_ = 0, scratch_bytes_ = 0;
  std::vector<bool> is_constant_;  // of each value
  std::unordered_map<const void *, Form> written_;  // constants, the input, what layers write
};

}  // namespace farmcpu
