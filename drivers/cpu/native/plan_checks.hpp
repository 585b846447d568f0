// What a packed plan says of its layers, checked before anything is made of it. Throws Failure.
#pragma once

#include <cstdint>
#include <string>

#include "infer_kernels.hpp"
#include "plan_format.hpp"

namespace farmcpu {

[[noreturn]] void refuse_plan(const std::string &why);
void expect(bool condition, const char *why);

// Bytes from the first pixel to the end of the last.
std::uint64_t bytes_of(const infer::Image &image);
std::uint64_t count_of(const infer::Image &image);
bool same_shape(const infer::Image &a, const infer::Image &b);

void check_shift(std::int32_t shift);
void check_rescale(const infer::Rescale &rescale);
// Whether the window gives the target's positions, each of them over the source.
void check_window(const infer::Window &window, const infer::Image &source,
                  const infer::Image &target);
void check_convolution(const infer::Convolution &form);
// Returns the count of its words.
std::uint64_t check_value(const PlanValue &value);

}  // namespace farmcpu
