// What all plans of one session share: threads and the memory that activations lie in.
#pragma once

#include <cstdint>
#include <mutex>

#include "infer_team.hpp"

namespace farmcpu {

// Memory at a fixed address, resident only as far as it was ever used.
class Workspace {
 public:
  explicit Workspace(std::uint64_t bytes);
  ~Workspace();
  Workspace(const Workspace &) = delete;
  Workspace &operator=(const Workspace &) = delete;

  std::uint8_t *data() const { return start_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::uint64_t bytes_, mapped_bytes_;
  std::uint8_t *mapped_, *start_;
};

struct Engine {
  Engine(std::uint32_t threads, std::uint64_t workspace_bytes)
      : team(threads), workspace(workspace_bytes) {}

  infer::Team team;
  Workspace workspace;
  std::mutex turn;  // one run at a time
};

}  // namespace farmcpu
