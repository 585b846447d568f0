#include <system_error>

#include "api_failures.hpp"
#include "plan.hpp"

struct farmcpu_engine {
  farmcpu::Engine engine;
};

struct farmcpu_plan {
  farmcpu::Plan plan;
};

namespace {

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
                                farmcpu_status *status, char *error, size_t error_bytes) {
  return farmcpu::make_or_tell(status, error, error_bytes, [=] {
    return new farmcpu_plan{farmcpu::Plan(engine->engine, blob, bytes)};
  });
}

void farmcpu_plan_free(farmcpu_plan *plan) { delete plan; }

size_t farmcpu_plan_input_words(const farmcpu_plan *plan) { return plan->plan.input_words(); }
size_t farmcpu_plan_output_words(const farmcpu_plan *plan) { return plan->plan.output_words(); }
size_t farmcpu_plan_layers(const farmcpu_plan *plan) { return plan->plan.layers(); }

farmcpu_status farmcpu_plan_run(farmcpu_plan *plan, const int32_t *input, size_t input_words,
                                int32_t *output, size_t output_words) {
  if (!fits(plan, input_words, output_words)) return FARMCPU_BAD_ARGUMENT;
  return farmcpu::status_of([=] { plan->plan.run(input, output); });
}

farmcpu_status farmcpu_plan_time(farmcpu_plan *plan, const int32_t *input, size_t input_words,
                                 int32_t *output, size_t output_words, uint32_t runs,
                                 double *seconds) {
  if (!fits(plan, input_words, output_words)) return FARMCPU_BAD_ARGUMENT;
  return farmcpu::status_of([=] { plan->plan.time(input, output, runs, seconds); });
}
