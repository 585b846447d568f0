/* What a stick answers to each request. One request is worked at a time; meanwhile only CANCEL is
 * heard. A request that comes again after a lost reply does no harm. */
#include "stick.h"

enum { HEADER = 4, MOST_BODY = FRAME_BYTES - HEADER - 4, MOST_EDGES = 64 };
enum { FIRMWARE_MAJOR = 1, FIRMWARE_MINOR = 0 };

static uint8_t image[IMAGE_BYTES];
static uint32_t image_length, image_received, image_crc;
static uint8_t model_id[MODEL_ID_BYTES], has_model;
static uint8_t is_busy, is_cancelled;
static uint8_t has_result; /* of the input there is: a RUN that comes again computes nothing */
static uint32_t runs;

static uint8_t reply[FRAME_BYTES - 4];

struct request_frame {
  uint8_t type;
  uint16_t id;
  const uint8_t *body;
  uint32_t length;
};

static uint8_t *begin(const struct request_frame *request, uint8_t type) {
  reply[0] = PROTOCOL_VERSION;
  reply[1] = type;
  return write16(reply + 2, request->id);
}

static void finish(const uint8_t *end) { link_send(reply, (uint32_t)(end - reply)); }

static void refuse(const struct request_frame *request, enum error error) {
  uint8_t *p = write16(begin(request, ERROR), (uint32_t)error);
  *p++ = request->type;
  finish(p);
}

static void answer_word(const struct request_frame *request, uint32_t word) {
  finish(write32(begin(request, request->type | REPLY), word));
}

static uint8_t *copy(uint8_t *to, const uint8_t *from, uint32_t length) {
  while (length--) *to++ = *from++;
  return to;
}

static int is_same(const uint8_t *a, const uint8_t *b, uint32_t length) {
  while (length--)
    if (*a++ != *b++) return 0;
  return 1;
}

static void hello(const struct request_frame *request) {
  static const uint8_t nothing[MODEL_ID_BYTES];
  uint8_t *p = begin(request, HELLO | REPLY);
  *p++ = CAN_INFER | CAN_VERIFY_CUCKOO;
  *p++ = FIRMWARE_MAJOR;
  *p++ = FIRMWARE_MINOR;
  *p++ = 0;
  p = write32(write32(write32(p, FRAME_BYTES), IMAGE_BYTES), ARENA_WORDS);
  port_serial(p);
  finish(copy(p + SERIAL_BYTES, has_model ? model_id : nothing, MODEL_ID_BYTES));
}

static void telemetry(const struct request_frame *request) {
  uint8_t *p = write32(begin(request, TELEMETRY | REPLY), port_milliseconds());
  p = write16(write16(p, (uint16_t)port_centidegrees()), port_millivolts());
  finish(write32(write32(write32(p, link_counts.frames), link_counts.bad_frames), runs));
}

static void drop(void) {
  model_drop();
  has_model = has_result = 0;
}

/* Body: id (32), length, CRC-32 of the image. Answers how many bytes are there already. */
static enum error model_begin(const struct request_frame *request) {
  if (request->length != MODEL_ID_BYTES + 8) return BAD_LENGTH;
  const uint32_t length = read32(request->body + MODEL_ID_BYTES);
  if (length > IMAGE_BYTES) return TOO_LARGE;
  if (!has_model || !is_same(model_id, request->body, MODEL_ID_BYTES)) {
    drop();
    copy(model_id, request->body, MODEL_ID_BYTES);
    image_length = length;
    image_crc = read32(request->body + MODEL_ID_BYTES + 4);
    image_received = 0;
  }
  answer_word(request, image_received);
  return OK;
}

/* Body: offset, bytes. Answers how many bytes are there now. */
static enum error model_data(const struct request_frame *request) {
  if (request->length < 5) return BAD_LENGTH;
  const uint32_t offset = read32(request->body), length = request->length - 4;
  if (has_model || offset > image_received) return BAD_ORDER;
  if (length > image_length || offset > image_length - length) return TOO_LARGE;
  if (offset == image_received) {
    copy(image + offset, request->body + 4, length);
    image_received += length;
  }
  answer_word(request, image_received);
  return OK;
}

static enum error model_end(const struct request_frame *request) {
  if (request->length) return BAD_LENGTH;
  if (!has_model) {
    if (image_received != image_length || !image_length) return BAD_ORDER;
    image_received = 0;
    if (crc32(0, image, image_length) != image_crc) return BAD_CHECKSUM;
    const enum error error = model_load(image, image_length);
    if (error) return error;
    has_model = 1;
    image_received = image_length;
  }
  answer_word(request, model_output_words());
  return OK;
}

/* Body: place of the first word, words. */
static enum error input_data(const struct request_frame *request) {
  uint32_t room;
  int32_t *input = model_input(&room);
  if (!has_model) return NO_MODEL;
  if (request->length < 8 || request->length % 4) return BAD_LENGTH;
  const uint32_t first = read32(request->body), words = request->length / 4 - 1;
  if (words > room || first > room - words) return TOO_LARGE;
  has_result = 0;
  for (uint32_t i = 0; i < words; ++i) input[first + i] = (int32_t)read32(request->body + 4 + 4 * i);
  answer_word(request, first + words);
  return OK;
}

static enum error run(const struct request_frame *request) {
  if (request->length) return BAD_LENGTH;
  if (!has_result) {
    const enum error error = model_run();
    if (error) return error;
    has_result = has_model;
    ++runs;
  }
  answer_word(request, model_output_words());
  return OK;
}

/* Body: place of the first word, count. */
static enum error output_read(const struct request_frame *request) {
  if (!has_model) return NO_MODEL;
  if (request->length != 8) return BAD_LENGTH;
  const uint32_t first = read32(request->body), count = read32(request->body + 4);
  const uint32_t there = model_output_words();
  if (count > MOST_BODY / 4 || count > there || first > there - count) return TOO_LARGE;
  uint8_t *p = begin(request, OUTPUT_READ | REPLY);
  for (uint32_t i = 0; i < count; ++i) p = write32(p, (uint32_t)model_output(first + i));
  finish(p);
  return OK;
}

/* Body: four keys, cycle, edge bits, compression and finalisation rounds, proof size, three zeros,
 * edges. */
static enum error verify(const struct request_frame *request) {
  struct cuckoo_graph graph;
  uint32_t edges[MOST_EDGES];
  const uint8_t *p = request->body;
  if (request->length < 40) return BAD_LENGTH;
  for (int i = 0; i < 4; ++i) graph.keys[i] = read64(p + 8 * i);
  graph.cycle = p[32];
  graph.edge_bits = p[33];
  graph.compression = p[34];
  graph.finalisation = p[35];
  graph.proof_size = p[36];
  if (graph.proof_size > MOST_EDGES) return BAD_GRAPH;
  if (request->length != 40 + 4u * graph.proof_size) return BAD_LENGTH;
  for (uint32_t i = 0; i < graph.proof_size; ++i) edges[i] = read32(p + 40 + 4 * i);
  const int verdict = cuckoo_verify(&graph, edges);
  if (verdict == VERDICT_BAD_GRAPH) return BAD_GRAPH;
  if (verdict == VERDICT_CANCELLED) return CANCELLED;
  answer_word(request, (uint32_t)verdict);
  return OK;
}

static enum error serve(const struct request_frame *request) {
  switch (request->type) {
    case HELLO: hello(request); return OK;
    case TELEMETRY: telemetry(request); return OK;
    case MODEL_BEGIN: return model_begin(request);
    case MODEL_DATA: return model_data(request);
    case MODEL_END: return model_end(request);
    case MODEL_DROP: drop(); answer_word(request, 0); return OK;
    case INPUT_DATA: return input_data(request);
    case RUN: return run(request);
    case OUTPUT_READ: return output_read(request);
    case CUCKOO_VERIFY: return verify(request);
    case CANCEL: answer_word(request, 0); return OK;
    default: return UNKNOWN_TYPE;
  }
}

/* The frame's buffer may be filled anew while this one is worked, so a body that is still needed
 * then has been read before. */
void stick_answer(const uint8_t *payload, uint32_t length) {
  if (length < HEADER) return;
  const struct request_frame request = {payload[1], (uint16_t)read16(payload + 2), payload + HEADER,
                                        length - HEADER};
  if (payload[0] != PROTOCOL_VERSION) {
    refuse(&request, BAD_VERSION);
  } else if (is_busy) {
    if (request.type == CANCEL) is_cancelled = 1;
    if (request.type != CANCEL) refuse(&request, BUSY);
  } else {
    is_busy = 1;
    is_cancelled = 0;
    const enum error error = serve(&request);
    is_busy = 0;
    if (error) refuse(&request, error);
  }
}

int stick_is_cancelled(void) {
  for (int byte = port_read(); byte >= 0; byte = port_read()) link_receive((uint8_t)byte);
  return is_cancelled;
}
