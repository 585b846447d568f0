/* A compute stick: what docs/usb-stick-protocol.md asks of one. No libc, no heap: all memory is
 * static, so that the same source runs on a Cortex-M and on the host. */
#ifndef FARMCTL_STICK_H
#define FARMCTL_STICK_H

#include <stdint.h>

enum {
  PROTOCOL_VERSION = 1,
  FRAME_BYTES = 1024, /* payload and CRC of one frame, before COBS */
  IMAGE_BYTES = STICK_IMAGE_BYTES,
  ARENA_WORDS = STICK_ARENA_WORDS,
  MODEL_ID_BYTES = 32,
  SERIAL_BYTES = 8,
};

enum request {
  HELLO = 0x01,
  TELEMETRY = 0x02,
  MODEL_BEGIN = 0x10,
  MODEL_DATA = 0x11,
  MODEL_END = 0x12,
  MODEL_DROP = 0x13,
  INPUT_DATA = 0x20,
  RUN = 0x21,
  OUTPUT_READ = 0x22,
  CUCKOO_VERIFY = 0x30,
  CANCEL = 0x7f,
  REPLY = 0x80, /* added to the request's type */
  ERROR = 0xff,
};

enum error {
  OK = 0,
  UNKNOWN_TYPE = 1,
  BAD_VERSION = 2,
  BAD_LENGTH = 3,
  BAD_ORDER = 4,
  TOO_LARGE = 5,
  BAD_CHECKSUM = 6,
  BAD_MODEL = 7,
  NO_MODEL = 8,
  BAD_GRAPH = 9,
  CANCELLED = 10,
  BUSY = 11,
};

enum capability { CAN_INFER = 1, CAN_VERIFY_CUCKOO = 2 };

/* What a port offers. */
void port_write(const uint8_t *bytes, uint32_t length);
uint32_t port_milliseconds(void);
int16_t port_centidegrees(void);  /* 0x7fff: no sensor */
uint16_t port_millivolts(void);   /* 0xffff: no sensor */
void port_serial(uint8_t serial[SERIAL_BYTES]);
int port_read(void);              /* the next byte that waits, or -1 */

/* The link: bytes in, frames out. */
struct link_counts {
  uint32_t frames, bad_frames;
};
extern struct link_counts link_counts;
void link_receive(uint8_t byte);
void link_send(const uint8_t *payload, uint32_t length);
void link_abandon(void); /* drop what has been received of a frame */
uint32_t crc32(uint32_t crc, const uint8_t *bytes, uint32_t length);

/* Models. */
enum error model_load(const uint8_t *image, uint32_t length);
enum error model_run(void);
void model_drop(void);
int32_t *model_input(uint32_t *words);
uint32_t model_output_words(void);
int32_t model_output(uint32_t word);

/* The proof of work; 1 if the edges are a cycle, 0 if not, or one of the verdicts below. */
enum { VERDICT_BAD_GRAPH = -1, VERDICT_CANCELLED = -2 };
struct cuckoo_graph {
  uint64_t keys[4];
  uint8_t cycle, edge_bits, compression, finalisation, proof_size;
};
int cuckoo_verify(const struct cuckoo_graph *graph, const uint32_t *edges);

/* A whole frame's payload, without its CRC. */
void stick_answer(const uint8_t *payload, uint32_t length);
/* Takes in what waits, amid a long piece of work; 1 if the host has cancelled it. */
int stick_is_cancelled(void);

static inline uint32_t read16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static inline uint32_t read32(const uint8_t *p) { return read16(p) | read16(p + 2) << 16; }
static inline uint64_t read64(const uint8_t *p) {
  return (uint64_t)read32(p) | (uint64_t)read32(p + 4) << 32;
}
static inline uint8_t *write16(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)v;
  p[1] = (uint8_t)(v >> 8);
  return p + 2;
}
static inline uint8_t *write32(uint8_t *p, uint32_t v) { return write16(write16(p, v), v >> 16); }

#endif
