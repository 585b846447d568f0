/* Arm's MPS2 board with a Cortex-M3 (AN385), as QEMU models it: the stack, the vectors, a UART. */
#include "../stick.h"

#define UART ((volatile uint32_t *)0x40004000)
enum { DATA = 0, STATE = 1, CONTROL = 2, DIVIDER = 4 };
enum { IS_FULL = 1, HAS_BYTE = 2, TRANSMITS = 1, RECEIVES = 2 };
#define SYSTICK ((volatile uint32_t *)0xE000E010)

extern uint32_t stack_top, bss_start, bss_end, data_start, data_end, data_image;
static volatile uint32_t milliseconds;

void port_write(const uint8_t *bytes, uint32_t length) {
  while (length--) {
    while (UART[STATE] & IS_FULL) {
    }
    UART[DATA] = *bytes++;
  }
}

int port_read(void) { return UART[STATE] & HAS_BYTE ? (int)(UART[DATA] & 0xff) : -1; }
uint32_t port_milliseconds(void) { return milliseconds; }
int16_t port_centidegrees(void) { return 0x7fff; }
uint16_t port_millivolts(void) { return 0xffff; }
void port_serial(uint8_t serial[SERIAL_BYTES]) {
  for (int i = 0; i < SERIAL_BYTES; ++i) serial[i] = (uint8_t)"mps2-385"[i];
}

/* The compiler may call for these where the source copies or clears. */
void *memcpy(void *to, const void *from, __SIZE_TYPE__ length) {
  uint8_t *t = to;
  const uint8_t *f = from;
  while (length--) *t++ = *f++;
  return to;
}
void *memset(void *to, int value, __SIZE_TYPE__ length) {
  uint8_t *t = to;
  while (length--) *t++ = (uint8_t)value;
  return to;
}

static void tick(void) { ++milliseconds; }

static void stop(void) {
  for (;;) {
  }
}

static void reset(void) {
  const uint32_t *from = &data_image;
  for (uint32_t *to = &data_start; to < &data_end;) *to++ = *from++;
  for (uint32_t *to = &bss_start; to < &bss_end;) *to++ = 0;
  UART[DIVIDER] = 16;
  UART[CONTROL] = TRANSMITS | RECEIVES;
  SYSTICK[1] = 25000 - 1; /* the board's clock is 25 MHz */
  SYSTICK[2] = 0;
  SYSTICK[0] = 7;
  for (;;) {
    const int byte = port_read();
    if (byte >= 0) link_receive((uint8_t)byte);
  }
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, reset, stop, stop, stop, stop, stop, 0, 0, 0, 0, stop, stop, 0, stop, tick,
};
