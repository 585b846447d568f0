// The flat form of a program (farmcpu.h): words separated by blanks. Throws Failure.
#pragma once

#include <sstream>
#include <string>

#include "operators.hpp"

namespace farmcpu {

// One step as it is written: an operator, values by their numbers, attributes.
struct StepText {
  std::string op;
  std::vector<std::size_t> inputs, outputs;
  std::map<std::string, Numbers> attributes;
};

class ProgramText {
 public:
  explicit ProgramText(const std::string &text) : words_(text) {}

  std::string word(const char *what);
  void expect(const char *keyword);
  std::int64_t number(const char *what, std::int64_t low, std::int64_t high);
  // A place among so many values.
  std::size_t value(std::size_t values);
  StepText step(std::size_t values);
  void expect_end();

 private:
  std::istringstream words_;
};

}  // namespace farmcpu
