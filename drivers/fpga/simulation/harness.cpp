// The simulated core as a small C library: registers by true AXI4-Lite transactions, and an AXI4
// memory with latency and pauses at random behind the core's master port.
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "Vfarmcore.h"
#include "verilated.h"

namespace {

constexpr int kBeats = 16, kBeatBytes = 8, kSlaveError = 2;
constexpr uint32_t kMemoryBase = 0x10000000;
constexpr int kMostBusCycles = 10000;

enum Fault : int { kNone, kHang, kWrong, kBusError };

struct Burst {
  uint32_t address;
  int beats_done;
  uint64_t ready_cycle;
};

struct Answer {
  uint64_t ready_cycle;
  bool failed;
};

class Simulation {
 public:
  Simulation(uint64_t memory_bytes, uint32_t seed) : memory_(memory_bytes), random_(seed) {
    core_.resetn = 0;
    for (int i = 0; i < 4; ++i) cycle();
    core_.resetn = 1;
    cycle();
  }

  uint8_t *memory() { return memory_.data(); }
  void set_fault(int fault) { fault_ = static_cast<Fault>(fault); }

  bool read(uint32_t offset, uint32_t *value) {
    core_.s_axi_araddr = offset & 0x3f;
    core_.s_axi_arvalid = 1;
    core_.s_axi_rready = 1;
    bool taken = false;
    for (int i = 0; i < kMostBusCycles; ++i) {
      core_.eval();
      const bool answered = core_.s_axi_rvalid;
      const bool takes = core_.s_axi_arvalid && core_.s_axi_arready;
      if (answered) *value = core_.s_axi_rdata;
      cycle();
      if (takes) core_.s_axi_arvalid = 0, taken = true;
      if (answered && taken) return core_.s_axi_rready = 0, true;
    }
    return false;
  }

  bool write(uint32_t offset, uint32_t value) {
    core_.s_axi_awaddr = offset & 0x3f;
    core_.s_axi_wdata = value;
    core_.s_axi_awvalid = core_.s_axi_wvalid = core_.s_axi_bready = 1;
    for (int i = 0; i < kMostBusCycles; ++i) {
      core_.eval();
      const bool answered = core_.s_axi_bvalid;
      const bool takes = core_.s_axi_awvalid && core_.s_axi_awready;
      cycle();
      if (takes) core_.s_axi_awvalid = core_.s_axi_wvalid = 0;
      if (answered) return core_.s_axi_bready = 0, true;
    }
    return false;
  }

  void advance(uint64_t cycles) {
    while (cycles--) cycle();
  }

 private:
  void cycle() {
    drive_read();
    drive_write();
    core_.eval();
    take_read();
    take_write();
    core_.clock = 1;
    core_.eval();
    core_.clock = 0;
    core_.eval();
    ++now_;
  }

  bool chance(unsigned in_sixteen) { return (random_() & 15) < in_sixteen; }

  void drive_read() {
    core_.m_axi_arready = reads_.size() < 8 && chance(12);
    if (read_taken_) core_.m_axi_rvalid = 0;
    const bool waits = reads_.empty() || reads_.front().ready_cycle > now_;
    if (!waits && !core_.m_axi_rvalid) {
      if (fault_ == kHang || chance(2)) return;
      const Burst &burst = reads_.front();
      const uint32_t at = burst.address + burst.beats_done * kBeatBytes;
      core_.m_axi_rvalid = 1;
      core_.m_axi_rlast = burst.beats_done == kBeats - 1;
      core_.m_axi_rresp = holds(at) && fault_ != kBusError ? 0 : kSlaveError;
      core_.m_axi_rdata = 0;
      if (holds(at)) std::memcpy(&core_.m_axi_rdata, &memory_[at - kMemoryBase], kBeatBytes);
    }
  }

  void take_read() {
    if (core_.m_axi_arvalid && core_.m_axi_arready)
      reads_.push_back({core_.m_axi_araddr, 0, now_ + 8 + random_() % 24});
    read_taken_ = core_.m_axi_rvalid && core_.m_axi_rready;
    if (read_taken_ && ++reads_.front().beats_done == kBeats) reads_.pop_front();
  }

  void drive_write() {
    core_.m_axi_awready = writes_.size() < 8 && chance(12);
    core_.m_axi_wready = !writes_.empty() && fault_ != kHang && chance(14);
    core_.m_axi_bvalid = !answers_.empty() && answers_.front().ready_cycle <= now_;
    core_.m_axi_bresp = core_.m_axi_bvalid && answers_.front().failed ? kSlaveError : 0;
  }

  void take_write() {
    if (core_.m_axi_bvalid && core_.m_axi_bready) answers_.pop_front();
    if (core_.m_axi_wvalid && core_.m_axi_wready) {
      Burst &burst = writes_.front();
      const uint32_t at = burst.address + burst.beats_done * kBeatBytes;
      uint64_t beat = core_.m_axi_wdata;
      if (fault_ == kWrong) beat ^= 1;
      if (holds(at)) std::memcpy(&memory_[at - kMemoryBase], &beat, kBeatBytes);
      if (++burst.beats_done == kBeats) {
        writes_.pop_front();
        answers_.push_back({now_ + 8, !holds(at)});
      }
    }
    if (core_.m_axi_awvalid && core_.m_axi_awready) writes_.push_back({core_.m_axi_awaddr, 0, 0});
  }

  bool holds(uint32_t address) const {
    return address >= kMemoryBase && address - kMemoryBase + kBeatBytes <= memory_.size();
  }

  std::vector<uint8_t> memory_;
  std::minstd_rand random_;
  VerilatedContext context_;
  Vfarmcore core_{&context_};
  std::deque<Burst> reads_, writes_;
  std::deque<Answer> answers_;
  uint64_t now_ = 0;
  bool read_taken_ = false;
  Fault fault_ = kNone;
};

}  // namespace

extern "C" {

Simulation *farmsim_create(uint64_t memory_bytes, uint32_t seed) {
  return new Simulation(memory_bytes, seed);
}
void farmsim_free(Simulation *simulation) { delete simulation; }
uint32_t farmsim_memory_base() { return kMemoryBase; }
uint8_t *farmsim_memory(Simulation *simulation) { return simulation->memory(); }
void farmsim_set_fault(Simulation *simulation, int fault) { simulation->set_fault(fault); }
int farmsim_read(Simulation *simulation, uint32_t offset, uint32_t *value) {
  return simulation->read(offset, value);
}
int farmsim_write(Simulation *simulation, uint32_t offset, uint32_t value) {
  return simulation->write(offset, value);
}
void farmsim_advance(Simulation *simulation, uint64_t cycles) { simulation->advance(cycles); }

}
