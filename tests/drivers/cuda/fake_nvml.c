/* A libnvidia-ml that reads its GPUs from a file mapped into memory, so that a test can change
 * them while pynvml looks on. Layout as in fake_nvml.py. Only what the driver calls is here;
 * for anything else pynvml finds no function, as with an old driver. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3,
       NO_PERMISSION = 4, NOT_FOUND = 6, TIMEOUT = 10, IS_LOST = 15 };

typedef struct {
  char name[96], uuid[80], bus[32];
  uint32_t failure; /* what every call on this GPU returns */
  uint32_t has_ecc, has_memory_temperature, may_set_power, reverts_power;
  uint32_t fan_percent, temperature, memory_temperature, utilisation;
  uint32_t power_mw, limit_mw, minimum_mw, maximum_mw, default_mw;
  uint32_t sm_mhz, memory_mhz, pcie_generation, pcie_width, pcie_replays, pci_id;
  uint64_t energy_mj, memory_total, memory_used, ecc_errors, throttle_bits;
} Gpu;

typedef struct {
  uint32_t init_result, count, event_gpu, event_xid;
  Gpu gpus[8];
} Machine;

static Machine *machine;

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
API nvmlShutdown(void) {
  if (machine) munmap(machine, sizeof(Machine));
  machine = NULL;
  return SUCCESS;
}
API nvmlSystemGetDriverVersion(char *text, unsigned size) {
  strncpy(text, "580.65.06", size);
  return SUCCESS;
}
API nvmlDeviceGetCount_v2(unsigned *count) {
  *count = machine->count;
  return SUCCESS;
}
API nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **gpu) {
  if (index >= machine->count) return INVALID_ARGUMENT;
  *gpu = &machine->gpus[index];
  return (*gpu)->failure;
}
API nvmlDeviceGetHandleByUUID(const char *uuid, Gpu **gpu) {
  for (unsigned i = 0; i < machine->count; ++i)
    if (!strcmp(machine->gpus[i].uuid, uuid)) return nvmlDeviceGetHandleByIndex_v2(i, gpu);
  return NOT_FOUND;
}

#define CHECK(gpu) if ((gpu)->failure) return (gpu)->failure
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
  rates[0] = rates[1] = gpu->utilisation;
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
  *count = kind == 1 && counter == 0 ? gpu->ecc_errors : 0;
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
    if (machine->event_xid) {
      *event = (Event){&machine->gpus[machine->event_gpu], 8, machine->event_xid, 0, 0};
      machine->event_xid = 0;
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
