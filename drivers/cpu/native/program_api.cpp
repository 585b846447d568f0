#include <algorithm>
#include <new>

#include "program.hpp"

struct farmcpu_program {
  farmcpu::Program program;
};

namespace {

void write_error(const char *message, char *error, size_t error_bytes) {
  if (!error_bytes) return;
  const std::string text = std::string(message).substr(0, error_bytes - 1);
  std::copy(text.c_str(), text.c_str() + text.size() + 1, error);
}

}  // namespace

farmcpu_program *farmcpu_program_load(const char *text, size_t text_bytes,
                                      const int32_t *parameters, size_t parameter_words,
                                      uint64_t memory_limit_bytes, farmcpu_status *status,
                                      char *error, size_t error_bytes) try {
  *status = FARMCPU_OK;
  return new farmcpu_program{farmcpu::Program(std::string(text, text_bytes), parameters,
                                              parameter_words, memory_limit_bytes)};
} catch (const farmcpu::Failure &failure) {
  write_error(failure.what(), error, error_bytes);
  *status = failure.status;
  return nullptr;
} catch (const std::bad_alloc &) {
  write_error("out of memory", error, error_bytes);
  *status = FARMCPU_NO_MEMORY;
  return nullptr;
}

void farmcpu_program_free(farmcpu_program *program) { delete program; }

size_t farmcpu_program_input_words(const farmcpu_program *program) {
  return program->program.input_words();
}

size_t farmcpu_program_output_words(const farmcpu_program *program) {
  return program->program.output_words();
}

farmcpu_status farmcpu_program_run(farmcpu_program *program, const int32_t *input,
                                   size_t input_words, int32_t *output,
                                   size_t output_words) try {
  if (input_words != program->program.input_words() ||
      output_words != program->program.output_words())
    return FARMCPU_BAD_ARGUMENT;
  program->program.run(input, output);
  return FARMCPU_OK;
} catch (const std::bad_alloc &) {
  return FARMCPU_NO_MEMORY;
}
