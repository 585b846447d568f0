#include <algorithm>
#include <new>
#include <string>
#include <system_error>

#include "plan.hpp"

struct farmcpu_engine {
  farmcpu::Engine engine;
};

struct farmcpu_plan {
  farmcpu::Plan plan;
};

namespace {

void write_error(const char *message, char *error, size_t error_bytes) {
  if (!error_bytes) return;
  const std::string text = std::string(message).substr(0, error_bytes - 1);
  std::copy(text.c_str(), text.c_str() + text.size() + 1, error);
}

bool fits(const farmcpu_plan *plan, size_t input_words, size_t output_words) {
  return input_words == plan->plan.input_words() && output_words == plan->plan.output_words();
}

}  // namespace

farmcpu_engine *farmcpu_engine_create(uint32_t threads, uint64_t workspace_bytes) try {
  return new farmcpu_engine{{threads, workspace_bytes}};
} catch (const std::bad_alloc &) {
  return nullptr;
} catch (const std::system_error &) {
  return nullptr;
}

void farmcpu_engine_free(farmcpu_engine *engine) { delete engine; }

uint64_t farmcpu_plan_checksum(const uint8_t *bytes, size_t count) {
  return farmcpu::checksum_of(bytes, count);
}

farmcpu_plan *farmcpu_plan_open(farmcpu_engine *engine, const uint8_t *blob, size_t bytes,
                                farmcpu_status *status, char *error, size_t error_bytes) try {
  *status = FARMCPU_OK;
  return new farmcpu_plan{farmcpu::Plan(engine->engine, blob, bytes)};
} catch (const farmcpu::Failure &failure) {
  write_error(failure.what(), error, error_bytes);
  *status = failure.status;
  return nullptr;
} catch (const std::bad_alloc &) {
  write_error("out of memory", error, error_bytes);
  *status = FARMCPU_NO_MEMORY;
  return nullptr;
}

void farmcpu_plan_free(farmcpu_plan *plan) { delete plan; }

size_t farmcpu_plan_input_words(const farmcpu_plan *plan) { return plan->plan.input_words(); }
size_t farmcpu_plan_output_words(const farmcpu_plan *plan) { return plan->plan.output_words(); }
size_t farmcpu_plan_layers(const farmcpu_plan *plan) { return plan->plan.layers(); }

farmcpu_status farmcpu_plan_run(farmcpu_plan *plan, const int32_t *input, size_t input_words,
                                int32_t *output, size_t output_words) try {
  if (!fits(plan, input_words, output_words)) return FARMCPU_BAD_ARGUMENT;
  plan->plan.run(input, output);
  return FARMCPU_OK;
} catch (const farmcpu::Failure &failure) {
  return failure.status;
} catch (const std::bad_alloc &) {
  return FARMCPU_NO_MEMORY;
}

farmcpu_status farmcpu_plan_time(farmcpu_plan *plan, const int32_t *input, size_t input_words,
                                 int32_t *output, size_t output_words, uint32_t runs,
                                 double *seconds) try {
  if (!fits(plan, input_words, output_words)) return FARMCPU_BAD_ARGUMENT;
  plan->plan.time(input, output, runs, seconds);
  return FARMCPU_OK;
} catch (const farmcpu::Failure &failure) {
  return failure.status;
} catch (const std::bad_alloc &) {
  return FARMCPU_NO_MEMORY;
}
