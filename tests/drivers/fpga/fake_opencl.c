/* An OpenCL vendor library with one FPGA platform of one board, for the real ICD loader: the
 * first field of every object points at the table of functions, in the order of cl_icd.h. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct { void **functions; } Object;

static void *table[256];
static Object platform = {table}, board = {table};

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
    case 0x900: return give_text("EMBEDDED_PROFILE", room, to, needed);
    case 0x901: return give_text("OpenCL 1.0", room, to, needed);
    case 0x902: return give_text("Intel(R) FPGA SDK for OpenCL(TM)", room, to, needed);
    case 0x903: return give_text("Intel(R) Corporation", room, to, needed);
    case 0x904: return give_text("cl_khr_icd", room, to, needed);
    case 0x920: return give_text("IntelFPGA", room, to, needed);
  }
  return -30;
}
static int get_devices(Object *p, uint64_t kind, unsigned room, Object **to, unsigned *count) {
  (void)p, (void)kind;
  if (count) *count = 1;
  if (to && room) *to = &board;
  return 0;
}
static int get_device_info(Object *d, unsigned what, size_t room, void *to, size_t *needed) {
  (void)d;
  const uint64_t memory = 8ull << 30, kind = 8; /* accelerator */
  Object *owner = &platform;
  switch (what) {
    case 0x1000: return give(&kind, sizeof kind, room, to, needed);
    case 0x101F: return give(&memory, sizeof memory, room, to, needed);
    case 0x102B: return give_text("pac_a10 : PAC Arria 10 Platform", room, to, needed);
    case 0x102C: return give_text("Intel(R) Corporation", room, to, needed);
    case 0x102D: return give_text("20.3", room, to, needed);
    case 0x102F: return give_text("OpenCL 1.0", room, to, needed);
    case 0x1031: return give(&owner, sizeof owner, room, to, needed);
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
