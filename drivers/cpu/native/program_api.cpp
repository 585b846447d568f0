#include "api_failures.hpp"
#include "program.hpp"

struct farmcpu_program {
  farmcpu::Program program;
};

farmcpu_program *farmcpu_program_load(const char *text, size_t text_bytes,
                                      const int32_t *parameters, size_t parameter_words,
                                      uint64_t memory_limit_bytes, farmcpu_status *status,
                                      char *error, size_t error_bytes) {
  return farmcpu::make_or_tell(status, error, error_bytes, [=] {
    return new farmcpu_program{farmcpu::Program(std::string(text, text_bytes), parameters,
                                                parameter_words, memory_limit_bytes)};
  });
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
                                   size_t output_words) {
  if (input_words != program->program.input_words() ||
      output_words != program->program.output_words())
    return FARMCPU_BAD_ARGUMENT;
  return farmcpu::status_of([=] { program->program.run(input, output); });
}
