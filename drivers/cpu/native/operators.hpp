// Operators of integer programs. Each is checked and bound to its buffers once, at load.
// Arithmetic is int32 modulo 2^32 (built with -fwrapv), to the bit as in the Cortex VM.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "farmcpu.h"

namespace farmcpu {

using Shape = std::vector<std::int64_t>;
using Numbers = std::vector<std::int64_t>;

struct Failure : std::runtime_error {
  Failure(farmcpu_status status, const std::string &message)
      : std::runtime_error(message), status(status) {}
  farmcpu_status status;
};

struct Value {
  Shape shape;
  std::int64_t precision = 32;
  std::span<std::int32_t> words;

  std::int64_t size() const { return static_cast<std::int64_t>(words.size()); }
};

// Takes bytes off what is left of a memory limit. Throws Failure where that is less.
void take_memory(std::uint64_t &left, std::uint64_t bytes);

// One step's operands, with the checks that every operator needs.
class Operands {
 public:
  std::string op;
  std::vector<Value *> inputs, outputs;
  std::map<std::string, Numbers> attributes;
  std::uint64_t *memory_left = nullptr;  // for copies that a kernel makes; never null as it is bound

  const Value &in(std::size_t i) const { return *inputs[i]; }
  Value &out() const { return *outputs[0]; }

  [[noreturn]] void refuse(const std::string &why) const;
  void require(bool condition, const char *why) const {
    if (!condition) refuse(why);
  }
  void take(std::size_t fewest, std::size_t most) const;
  void take(std::size_t count) const { take(count, count); }
  void require_shape(const Shape &shape) const;
  void require_same_size() const;

  bool has(const std::string &name) const { return attributes.count(name) != 0; }
  std::int64_t number(const std::string &name, std::int64_t low, std::int64_t high) const;
  std::int64_t number(const std::string &name, std::int64_t low, std::int64_t high,
                      std::int64_t otherwise) const;
  Numbers numbers(const std::string &name) const;
  // Two numbers, of which one may stand for both.
  Numbers pair(const std::string &name, std::int64_t low, std::int64_t high,
               std::int64_t otherwise) const;
  // An axis of a tensor with `dimensions`, counted from the end where negative.
  std::size_t axis(std::int64_t number, std::size_t dimensions) const;
};

using Kernel = std::function<void()>;
using Bind = Kernel (*)(const Operands &);
using Table = std::map<std::string, Bind>;

const Table &elementwise_operators();
const Table &layout_operators();
const Table &reduction_operators();
const Table &convolution_operators();
const Table &pooling_operators();
const Table &detection_operators();
const Table &scaling_operators();
const Table &sampling_operators();
const Table &arrangement_operators();
const Table &normalisation_operators();
const Table &region_operators();

// The kernel of one step. Throws Failure.
Kernel bind(const Operands &step);

// The third input, one number a channel; null where there is none.
const std::int32_t *bias_of(const Operands &step, std::int64_t channels);

Numbers strides_of(const Shape &shape);
std::int64_t size_of(const Shape &shape);

}  // namespace farmcpu
