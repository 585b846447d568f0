/* The firmware on a host: over a terminal's other end, named as the argument, or over standard
 * input and output. It ends when the other side is closed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../stick.h"

static int in = 0, out = 1;
static uint8_t waiting[4096];
static ssize_t have, taken;

void port_write(const uint8_t *bytes, uint32_t length) {
  while (length) {
    const ssize_t done = write(out, bytes, length);
    if (done > 0) {
      bytes += done;
      length -= (uint32_t)done;
    } else if (done < 0 && errno == EAGAIN) {
      struct pollfd room = {out, POLLOUT, 0};
      poll(&room, 1, 1000);
    } else if (done < 0 && errno != EINTR) {
      exit(0); /* unplugged */
    }
  }
}

/* -1: nothing waits. The other side's end ends the process. */
static int read_byte(int milliseconds) {
  if (taken < have) return waiting[taken++];
  struct pollfd ready = {in, POLLIN, 0};
  if (poll(&ready, 1, milliseconds) <= 0) return -1;
  have = read(in, waiting, sizeof waiting);
  taken = 0;
  if (have > 0) return waiting[taken++];
  if (have < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
  exit(0);
}

int port_read(void) { return read_byte(0); }

uint32_t port_milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static int number_of(const char *name, int otherwise) {
  const char *text = getenv(name);
  return text ? atoi(text) : otherwise;
}

/* A host has no such sensors of a stick; tests give them values. */
int16_t port_centidegrees(void) { return (int16_t)number_of("STICK_CENTIDEGREES", 0x7fff); }
uint16_t port_millivolts(void) { return (uint16_t)number_of("STICK_MILLIVOLTS", 0xffff); }

void port_serial(uint8_t serial[SERIAL_BYTES]) {
  const char *text = getenv("STICK_SERIAL");
  memset(serial, '0', SERIAL_BYTES);
  if (text) memcpy(serial, text, strnlen(text, SERIAL_BYTES));
}

int main(int count, char **arguments) {
  if (count > 1) in = out = open(arguments[1], O_RDWR | O_NOCTTY);
  if (in < 0) return 1;
  for (;;) {
    const int byte = read_byte(-1);
    if (byte >= 0) link_receive((uint8_t)byte);
  }
}
