/* An OpenCL vendor library with GPUs of three makers, for the real ICD loader: the first field of
 * every object points at the table of functions, in the order of cl_icd.h. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static void *table[256];
typedef struct {
  void **functions;
  const char *name;
  unsigned vendor, address[4]; /* PCI domain, bus, device, function */
  uint64_t kind;               /* 4: GPU, 8: accelerator */
} Object;
static Object platform = {.functions = table};
static Object devices[] = {
    {table, "Arc A770", 0x8086, {0, 0x03, 0, 0}, 4},
    {table, "Radeon VII", 0x1002, {0, 0x0a, 0, 0}, 4},
    {table, "Radeon HD 7970", 0x1002, {0, 0x0b, 0, 0}, 4},
    {table, "GeForce RTX 3090", 0x10de, {0, 0x0c, 0, 0}, 4},
    {table, "FPGA board", 0x1172, {0, 0x0d, 0, 0}, 8},
    {table, "Arc A770, again", 0x8086, {0, 0x03, 0, 0}, 4},
};
enum { DEVICES = sizeof devices / sizeof *devices };

static int give(const void *value, size_t size, size_t room, void *to, size_t *needed) {
  if (needed) *needed = size;
  if (to && room < size) return -30; /* CL_INVALID_VALUE */
  if (to) memcpy(to, value, size);
  return 0;
}
static int give_text(const char *text, size_t room, void *to, size_t *needed) {
  return give(text, strlen(text) + 1, room, to, needed);
}
static int get_platform_info(Object *p, unsigned what, size_t room, void *to, size_t *needed) {
  (void)p;
  switch (what) {
    case 0x900: return give_text("FULL_PROFILE", room, to, needed);
    case 0x901: return give_text("OpenCL 1.2", room, to, needed);
    case 0x902: return give_text("Many makers", room, to, needed);
    case 0x903: return give_text("Nobody", room, to, needed);
    case 0x904: return give_text("cl_khr_icd", room, to, needed);
    case 0x920: return give_text("FAKE", room, to, needed);
  }
  return -30;
}
static int get_devices(Object *p, uint64_t kind, unsigned room, Object **to, unsigned *count) {
  (void)p, (void)kind;
  if (count) *count = DEVICES;
  for (unsigned i = 0; to && i < room && i < DEVICES; ++i) to[i] = &devices[i];
  return 0;
}
static int get_device_info(Object *d, unsigned what, size_t room, void *to, size_t *needed) {
  const uint64_t memory = 8ull << 30, at_once = 2ull << 30, local = 32 << 10;
  Object *owner = &platform;
  switch (what) {
    case 0x1000: return give(&d->kind, sizeof d->kind, room, to, needed);
    case 0x1001: return give(&d->vendor, sizeof d->vendor, room, to, needed);
    case 0x1010: return give(&at_once, sizeof at_once, room, to, needed);
    case 0x101F: return give(&memory, sizeof memory, room, to, needed);
    case 0x1023: return give(&local, sizeof local, room, to, needed);
    case 0x102B: return give_text(d->name, room, to, needed);
    case 0x102C: return give_text("Nobody", room, to, needed);
    case 0x102D: return give_text("1.2.3", room, to, needed);
    case 0x102F: return give_text("OpenCL 1.2", room, to, needed);
    case 0x1031: return give(&owner, sizeof owner, room, to, needed);
    case 0x410F: return give(d->address, sizeof d->address, room, to, needed);
  }
  return -30;
}
static int refuse(void) { return -59; } /* CL_INVALID_OPERATION */

#define API __attribute__((visibility("default")))
API int clIcdGetPlatformIDsKHR(unsigned room, Object **to, unsigned *count) {
  for (int i = 0; i < 256; ++i) table[i] = (void *)refuse;
  table[1] = (void *)get_platform_info;
  table[2] = (void *)get_devices;
  table[3] = (void *)get_device_info;
  if (count) *count = 1;
  if (to && room) *to = &platform;
  return 0;
}
API int clGetPlatformInfo(Object *p, unsigned what, size_t room, void *to, size_t *needed) {
  return get_platform_info(p, what, room, to, needed);
}
API void *clGetExtensionFunctionAddress(const char *name) {
  return strcmp(name, "clIcdGetPlatformIDsKHR") ? NULL : (void *)clIcdGetPlatformIDsKHR;
}
