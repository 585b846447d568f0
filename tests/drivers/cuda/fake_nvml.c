/* A libnvidia-ml that reads its GPUs from a file mapped into memory, so that a test can change
 * them while pynvml looks on. Layout as in fake_nvml.py. Only what the driver calls is here;
 * for anything else pynvml finds no function, as with an old driver. Built with OLD_DRIVER it
 * lacks what came to NVML late. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3,
       NO_PERMISSION = 4, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10, IS_LOST = 15 };

typedef struct {
  char name[96], uuid[80], bus[32];
  uint32_t failure; /* what every call on this GPU returns */
  uint32_t has_ecc, has_memory_temperature, may_set_power, reverts_power;
  uint32_t fan_percent, temperature, memory_temperature, utilisation;
  uint32_t power_mw, limit_mw, minimum_mw, maximum_mw, default_mw;
  uint32_t sm_mhz, memory_mhz, pcie_generation, pcie_width, pcie_replays, pci_id;
  uint32_t memory_utilisation, receive_kb, send_kb, processes, hang_ms;
  uint32_t has_remap, remapped_rows, remap_pending, remap_failed, retired_pages;
  uint32_t mig_mode, mig_instances;
  uint32_t sm_lock_mhz, memory_lock_mhz; /* 0: none */
  uint32_t fans, fan_manual, fan_target, fan_minimum, pad;
  uint64_t energy_mj, memory_total, memory_used, ecc_errors, ecc_corrected, throttle_bits;
} Gpu;

typedef struct {
  uint32_t init_result, count, event_gpu, event_xid;
  Gpu gpus[16];
} Machine;

static Machine *volatile machine;

#define API __attribute__((visibility("default"))) int

API nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  if (!machine) {
    int file = open(getenv("FAKE_NVML_STATE"), O_RDWR);
    if (file < 0) return UNINITIALIZED;
    void *memory = mmap(NULL, sizeof(Machine), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) return UNINITIALIZED;
    machine = memory;
  }
  return machine->init_result;
}
API nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
/* The memory stays: a thread may still be waiting for an event of it. */
API nvmlShutdown(void) {
  machine = NULL;
  return SUCCESS;
}
API nvmlSystemGetDriverVersion(char *text, unsigned size) {
  strncpy(text, "580.65.06", size);
  return SUCCESS;
}
API nvmlDeviceGetCount_v2(unsigned *count) {
  if (!machine) return UNINITIALIZED;
  *count = machine->count;
  return SUCCESS;
}
API nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **gpu) {
  if (!machine) return UNINITIALIZED;
  if (index >= machine->count) return INVALID_ARGUMENT;
  *gpu = &machine->gpus[index];
  return (*gpu)->failure;
}
API nvmlDeviceGetHandleByUUID(const char *uuid, Gpu **gpu) {
  for (unsigned i = 0; machine && i < machine->count; ++i)
    if (!strcmp(machine->gpus[i].uuid, uuid)) return nvmlDeviceGetHandleByIndex_v2(i, gpu);
  return NOT_FOUND;
}

static int check(Gpu *gpu) {
  if (gpu->hang_ms) usleep(gpu->hang_ms * 1000u);
  return (int)gpu->failure;
}
#define CHECK(gpu) do { int failure = check(gpu); if (failure) return failure; } while (0)
#define TEXT(function, field)                               \
  API function(Gpu *gpu, char *text, unsigned size) {       \
    CHECK(gpu);                                             \
    strncpy(text, gpu->field, size);                        \
    return SUCCESS;                                         \
  }
#define NUMBER(function, type, field)                       \
  API function(Gpu *gpu, type *value) {                     \
    CHECK(gpu);                                             \
    *value = gpu->field;                                    \
    return SUCCESS;                                         \
  }
TEXT(nvmlDeviceGetName, name)
TEXT(nvmlDeviceGetUUID, uuid)
NUMBER(nvmlDeviceGetPowerUsage, unsigned, power_mw)
NUMBER(nvmlDeviceGetPowerManagementLimit, unsigned, limit_mw)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, limit_mw)
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, default_mw)
NUMBER(nvmlDeviceGetTotalEnergyConsumption, unsigned long long, energy_mj)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, pcie_generation)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, unsigned, pcie_width)
NUMBER(nvmlDeviceGetPcieReplayCounter, unsigned, pcie_replays)
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, throttle_bits)

API nvmlDeviceGetFanSpeed(Gpu *gpu, unsigned *percent) {
  CHECK(gpu);
  if (gpu->fan_percent > 100) return NOT_SUPPORTED; /* passive */
  *percent = gpu->fan_percent;
  return SUCCESS;
}
API nvmlDeviceGetTemperature(Gpu *gpu, int sensor, unsigned *celsius) {
  CHECK(gpu);
  *celsius = gpu->temperature;
  return sensor ? INVALID_ARGUMENT : SUCCESS;
}
API nvmlDeviceGetClockInfo(Gpu *gpu, int type, unsigned *mhz) {
  CHECK(gpu);
  *mhz = type == 2 ? gpu->memory_mhz : gpu->sm_mhz;
  return SUCCESS;
}
API nvmlDeviceGetUtilizationRates(Gpu *gpu, unsigned rates[2]) {
  CHECK(gpu);
  rates[0] = gpu->utilisation;
  rates[1] = gpu->memory_utilisation;
  return SUCCESS;
}
API nvmlDeviceGetMemoryInfo(Gpu *gpu, unsigned long long memory[3]) {
  CHECK(gpu);
  memory[0] = gpu->memory_total;
  memory[1] = gpu->memory_total - gpu->memory_used;
  memory[2] = gpu->memory_used;
  return SUCCESS;
}
API nvmlDeviceGetCudaComputeCapability(Gpu *gpu, int *major, int *minor) {
  CHECK(gpu);
  *major = 9;
  *minor = 0;
  return SUCCESS;
}
API nvmlDeviceGetPciInfo_v3(Gpu *gpu, char *info) { /* legacy bus id, 5 words, bus id */
  CHECK(gpu);
  memcpy(info + 16 + 3 * 4, &gpu->pci_id, sizeof gpu->pci_id);
  strcpy(info + 16 + 5 * 4, gpu->bus);
  return SUCCESS;
}
API nvmlDeviceGetTotalEccErrors(Gpu *gpu, int kind, int counter, unsigned long long *count) {
  CHECK(gpu);
  if (!gpu->has_ecc) return NOT_SUPPORTED;
  if (counter) return INVALID_ARGUMENT;
  *count = kind == 1 ? gpu->ecc_errors : gpu->ecc_corrected;
  return SUCCESS;
}
typedef struct {
  uint32_t field, scope;
  int64_t timestamp, latency;
  int32_t type, result;
  uint64_t value;
} FieldValue;
API nvmlDeviceGetFieldValues(Gpu *gpu, int count, FieldValue *values) {
  CHECK(gpu);
  for (int i = 0; i < count; ++i) {
    const int known = values[i].field == 82 && gpu->has_memory_temperature;
    values[i].result = known ? SUCCESS : NOT_SUPPORTED;
    values[i].value = known ? gpu->memory_temperature : 0;
  }
  return SUCCESS;
}
API nvmlDeviceGetPowerManagementLimitConstraints(Gpu *gpu, unsigned *low, unsigned *high) {
  CHECK(gpu);
  *low = gpu->minimum_mw;
  *high = gpu->maximum_mw;
  return gpu->maximum_mw ? SUCCESS : NOT_SUPPORTED;
}
API nvmlDeviceSetPowerManagementLimit(Gpu *gpu, unsigned limit_mw) {
  CHECK(gpu);
  if (!gpu->may_set_power) return NO_PERMISSION;
  if (limit_mw < gpu->minimum_mw || limit_mw > gpu->maximum_mw) return INVALID_ARGUMENT;
  if (!gpu->reverts_power) gpu->limit_mw = limit_mw;
  return SUCCESS;
}

API nvmlDeviceGetPcieThroughput(Gpu *gpu, int direction, unsigned *kb) {
  CHECK(gpu);
  *kb = direction ? gpu->receive_kb : gpu->send_kb;
  return SUCCESS;
}
#ifndef OLD_DRIVER
API nvmlDeviceGetRemappedRows(Gpu *gpu, unsigned *corrected, unsigned *uncorrected,
                              unsigned *pending, unsigned *failed) {
  CHECK(gpu);
  *corrected = 0;
  *uncorrected = gpu->remapped_rows;
  *pending = gpu->remap_pending;
  *failed = gpu->remap_failed;
  return gpu->has_remap ? SUCCESS : NOT_SUPPORTED;
}
API nvmlDeviceGetMigMode(Gpu *gpu, unsigned *current, unsigned *pending) {
  CHECK(gpu);
  *current = *pending = gpu->mig_mode;
  return gpu->has_remap ? SUCCESS : NOT_SUPPORTED;
}
API nvmlDeviceGetMaxMigDeviceCount(Gpu *gpu, unsigned *count) {
  CHECK(gpu);
  *count = 7;
  return SUCCESS;
}
API nvmlDeviceGetMigDeviceHandleByIndex(Gpu *gpu, unsigned index, Gpu **instance) {
  CHECK(gpu);
  *instance = gpu;
  return index < gpu->mig_instances ? SUCCESS : NOT_FOUND;
}
#endif
API nvmlDeviceGetRetiredPages(Gpu *gpu, int cause, unsigned *count, unsigned long long *pages) {
  CHECK(gpu);
  if (!gpu->has_ecc) return NOT_SUPPORTED;
  const unsigned there = cause ? 0 : gpu->retired_pages;
  const int fits = pages && *count >= there;
  for (unsigned i = 0; fits && i < there; ++i) pages[i] = i << 12;
  *count = there;
  return there && !fits ? INSUFFICIENT_SIZE : SUCCESS;
}
typedef struct {
  unsigned pid;
  unsigned long long memory;
  unsigned gpu_instance, compute_instance;
} Process;
API nvmlDeviceGetComputeRunningProcesses_v3(Gpu *gpu, unsigned *count, Process *processes) {
  CHECK(gpu);
  const int fits = processes && *count >= gpu->processes;
  for (unsigned i = 0; fits && i < gpu->processes; ++i) processes[i] = (Process){i + 1, 1, 0, 0};
  *count = gpu->processes;
  return gpu->processes && !fits ? INSUFFICIENT_SIZE : SUCCESS;
}

static const unsigned SM_CLOCKS[] = {2100, 1695, 1200, 600, 210}, MEMORY_CLOCKS[] = {9501, 5001, 405};
static int list(const unsigned *from, unsigned have, unsigned *count, unsigned *clocks) {
  const int fits = clocks && *count >= have;
  if (fits) memcpy(clocks, from, have * sizeof *from);
  *count = have;
  return fits ? SUCCESS : INSUFFICIENT_SIZE;
}
API nvmlDeviceGetSupportedMemoryClocks(Gpu *gpu, unsigned *count, unsigned *clocks) {
  CHECK(gpu);
  return list(MEMORY_CLOCKS, 3, count, clocks);
}
API nvmlDeviceGetSupportedGraphicsClocks(Gpu *gpu, unsigned mhz, unsigned *count, unsigned *clocks) {
  CHECK(gpu);
  return mhz == MEMORY_CLOCKS[0] ? list(SM_CLOCKS, 5, count, clocks) : NOT_FOUND;
}
static int lock(Gpu *gpu, unsigned *bound, unsigned *clock, unsigned low, unsigned high) {
  CHECK(gpu);
  if (!gpu->may_set_power) return NO_PERMISSION;
  if (low > high) return INVALID_ARGUMENT;
  *bound = high;
  if (*clock > high) *clock = high;
  return SUCCESS;
}
API nvmlDeviceSetGpuLockedClocks(Gpu *gpu, unsigned low, unsigned high) {
  return lock(gpu, &gpu->sm_lock_mhz, &gpu->sm_mhz, low, high);
}
API nvmlDeviceResetGpuLockedClocks(Gpu *gpu) {
  CHECK(gpu);
  gpu->sm_lock_mhz = 0;
  return SUCCESS;
}
API nvmlDeviceSetMemoryLockedClocks(Gpu *gpu, unsigned low, unsigned high) {
  return lock(gpu, &gpu->memory_lock_mhz, &gpu->memory_mhz, low, high);
}
API nvmlDeviceResetMemoryLockedClocks(Gpu *gpu) {
  CHECK(gpu);
  gpu->memory_lock_mhz = 0;
  return SUCCESS;
}

API nvmlDeviceGetNumFans(Gpu *gpu, unsigned *count) {
  CHECK(gpu);
  *count = gpu->fans;
  return SUCCESS;
}
API nvmlDeviceGetMinMaxFanSpeed(Gpu *gpu, unsigned *low, unsigned *high) {
  CHECK(gpu);
  *low = gpu->fan_minimum;
  *high = 100;
  return gpu->fans ? SUCCESS : NOT_SUPPORTED;
}
API nvmlDeviceGetFanControlPolicy_v2(Gpu *gpu, unsigned fan, unsigned *policy) {
  CHECK(gpu);
  *policy = gpu->fan_manual;
  return fan < gpu->fans ? SUCCESS : INVALID_ARGUMENT;
}
API nvmlDeviceGetTargetFanSpeed(Gpu *gpu, unsigned fan, unsigned *percent) {
  CHECK(gpu);
  *percent = gpu->fan_target;
  return fan < gpu->fans ? SUCCESS : INVALID_ARGUMENT;
}
API nvmlDeviceSetFanSpeed_v2(Gpu *gpu, unsigned fan, unsigned percent) {
  CHECK(gpu);
  if (!gpu->may_set_power) return NO_PERMISSION;
  if (fan >= gpu->fans || percent < gpu->fan_minimum || percent > 100) return INVALID_ARGUMENT;
  gpu->fan_manual = 1;
  gpu->fan_target = gpu->fan_percent = percent;
  return SUCCESS;
}
API nvmlDeviceSetDefaultFanSpeed_v2(Gpu *gpu, unsigned fan) {
  CHECK(gpu);
  gpu->fan_manual = 0;
  return fan < gpu->fans ? SUCCESS : INVALID_ARGUMENT;
}

API nvmlEventSetCreate(void **set) {
  *set = machine;
  return SUCCESS;
}
API nvmlDeviceRegisterEvents(Gpu *gpu, unsigned long long types, void *set) {
  (void)types, (void)set;
  CHECK(gpu);
  return SUCCESS;
}
typedef struct {
  Gpu *gpu;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
} Event;
API nvmlEventSetWait_v2(void *set, Event *event, unsigned timeout_ms) {
  (void)set;
  for (unsigned waited = 0; waited < timeout_ms; waited += 5) {
    Machine *now = machine;
    if (!now) return UNINITIALIZED;
    if (now->event_xid) {
      *event = (Event){&now->gpus[now->event_gpu], 8, now->event_xid, 0, 0};
      now->event_xid = 0;
      return SUCCESS;
    }
    usleep(5000);
  }
  return TIMEOUT;
}
API nvmlEventSetFree(void *set) {
  (void)set;
  return SUCCESS;
}
const char *nvmlErrorString(int result) __attribute__((visibility("default")));
const char *nvmlErrorString(int result) {
  (void)result;
  return "fake error";
}
