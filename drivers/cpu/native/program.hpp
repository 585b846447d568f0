#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "operators.hpp"

namespace farmcpu {

class Program {
 public:
  // Throws Failure; see farmcpu_program_load for the text.
  Program(const std::string &text, const std::int32_t *parameters, std::size_t parameter_words,
          std::uint64_t memory_limit_bytes);

  std::size_t input_words() const { return values_[0]->words.size(); }
  std::size_t output_words() const;
  void run(const std::int32_t *input, std::int32_t *output);

 private:
  class Loader;

  std::deque<std::vector<std::int32_t>> memory_;  // what the values' words lie in
  std::vector<std::unique_ptr<Value>> values_;
  std::vector<Kernel> kernels_;
  std::vector<const Value *> heads_;
};

}  // namespace farmcpu
