/* Frames: COBS with a zero at the end (S. Cheshire, M. Baker 1999), payload and then its CRC-32
 * (IEEE 802.3). Whatever is not a whole sound frame is dropped and counted. */
#include "stick.h"

struct link_counts link_counts;

static uint8_t frame[FRAME_BYTES];
static uint32_t used;
static uint8_t left;        /* bytes until the next code byte */
static uint8_t is_long;     /* the present run has no zero after it */
static uint8_t is_started, is_broken;

uint32_t crc32(uint32_t crc, const uint8_t *bytes, uint32_t length) {
  crc = ~crc;
  while (length--) {
    crc ^= *bytes++;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

static void put(uint8_t byte) {
  if (used < FRAME_BYTES)
    frame[used++] = byte;
  else
    is_broken = 1;
}

void link_abandon(void) { used = left = is_long = is_started = is_broken = 0; }

static void end_frame(void) {
  const uint32_t length = used;
  const int is_whole = is_started && !is_broken && left == 0 && length >= 4;
  const int was_empty = !is_started;
  link_abandon();
  if (was_empty) return;
  if (is_whole && crc32(0, frame, length - 4) == read32(frame + length - 4)) {
    ++link_counts.frames;
    stick_answer(frame, length - 4);
  } else {
    ++link_counts.bad_frames;
  }
}

void link_receive(uint8_t byte) {
  if (byte == 0) {
    end_frame();
  } else if (left == 0) {
    if (is_started && !is_long) put(0);
    is_started = 1;
    is_long = byte == 255;
    left = (uint8_t)(byte - 1);
  } else {
    put(byte);
    --left;
  }
}

static uint8_t run[255];
static uint8_t run_length;

static void flush_run(uint8_t code) {
  run[0] = code;
  port_write(run, (uint32_t)run_length + 1);
  run_length = 0;
}

static void stuff(uint8_t byte) {
  if (byte == 0) {
    flush_run((uint8_t)(run_length + 1));
    return;
  }
  run[++run_length] = byte;
  if (run_length == 254) flush_run(255);
}

void link_send(const uint8_t *payload, uint32_t length) {
  uint8_t sum[4];
  const uint8_t zero = 0;
  write32(sum, crc32(0, payload, length));
  run_length = 0;
  for (uint32_t i = 0; i < length; ++i) stuff(payload[i]);
  for (uint32_t i = 0; i < 4; ++i) stuff(sum[i]);
  flush_run((uint8_t)(run_length + 1));
  port_write(&zero, 1);
}
