/* Frames and their primitive values: pure functions over bytes, without input or output. PROTOCOL.md defines them. */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  PROTOCOL_VERSION = 1,
  TOKEN_BYTES = 32,
  /* Length and type. */
  FRAME_HEADER_BYTES = 5,
  /* Most content bytes in a frame that carries a piece of a stream. */
  CHUNK_BYTES = 32768,
  /* Largest payload that is not an EXEC's: a chunk with its offset. */
  PAYLOAD_MAX = 65536,
  /* Largest payload of EXEC: what Linux takes as arguments and environment (2 MiB), with room for the rest. */
  EXEC_PAYLOAD_MAX = 2 * 1024 * 1024 + 65536,
};

enum frame_type {
  /* From the host. */
  FRAME_HELLO = 0x01,
  FRAME_PING = 0x02,
  FRAME_IDENTIFY = 0x03,
  FRAME_GROW_ROOT = 0x04,
  FRAME_EXEC = 0x05,
  FRAME_STDIN = 0x06,
  FRAME_STDIN_END = 0x07,
  FRAME_KILL = 0x08,
  FRAME_READ_FILE = 0x09,
  FRAME_WRITE_FILE = 0x0a,
  FRAME_POWEROFF = 0x0b,
  /* Both ways. */
  FRAME_DATA = 0x40,
  FRAME_DATA_END = 0x41,
  /* From the kit. */
  FRAME_STATUS = 0x80,
  FRAME_OK = 0x81,
  FRAME_STARTED = 0x82,
  FRAME_STDOUT = 0x83,
  FRAME_STDERR = 0x84,
  FRAME_EXIT = 0x85,
  FRAME_FILE = 0x86,
  FRAME_ERROR = 0xff,
};

/* Codes of an ERROR frame. */
enum error_code {
  ERROR_MALFORMED = 1,
  ERROR_VERSION = 2,
  ERROR_TOKEN = 3,
  ERROR_BUSY = 4,
  ERROR_FAILED = 5,
  ERROR_EXEC_NOT_FOUND = 16,
  ERROR_EXEC_NOT_EXECUTABLE = 17,
  ERROR_EXEC_BAD_CWD = 18,
  ERROR_EXEC_UNKNOWN_USER = 19,
  ERROR_EXEC_UNKNOWN = 20,
  ERROR_FILE_NOT_FOUND = 32,
  ERROR_FILE_FAILED = 33,
};

struct frame {
  uint8_t type;
  const uint8_t *payload;
  size_t payload_bytes;
};

/* Result of frame_parse. */
enum frame_state { FRAME_WHOLE, FRAME_PARTIAL, FRAME_BAD };

/*
 * Looks for one frame at the start of bytes.
 *
 * payload_max: the limit of a frame of the first byte's type; a longer one is FRAME_BAD as soon as its header is there
 * needed: set to the whole frame's length once the header is there (FRAME_WHOLE, FRAME_PARTIAL), else to the header's
 */
enum frame_state frame_parse(const uint8_t *bytes, size_t length, size_t (*payload_max)(uint8_t type),
                             struct frame *frame, size_t *needed);

/* Reads values one after the other. After a value that is not whole, bad is set and every value is 0 or "". */
struct reader {
  const uint8_t *at;
  const uint8_t *end;
  bool bad;
};

struct reader reader_of(const struct frame *frame);
uint64_t take_number(struct reader *reader, size_t bytes);
const uint8_t *take_bytes(struct reader *reader, size_t bytes);
/* A string of at most max bytes, as a C string inside the frame. */
const char *take_string(struct reader *reader, size_t max);
/* True when every value was there and nothing is left. */
bool reader_done(const struct reader *reader);

/* Writes one frame into a buffer. Values that do not fit set full; finish then returns 0. */
struct writer {
  uint8_t *start;
  uint8_t *at;
  uint8_t *end;
  bool full;
};

struct writer frame_begin(uint8_t *buffer, size_t capacity, enum frame_type type);
void put_number(struct writer *writer, uint64_t value, size_t bytes);
void put_bytes(struct writer *writer, const void *bytes, size_t length);
void put_string(struct writer *writer, const char *text);
/* Fills in the length. Returns the frame's whole length. */
size_t frame_finish(struct writer *writer);

/* An ERROR frame. Returns its length. A detail that is too long is cut. */
size_t frame_error(uint8_t *buffer, size_t capacity, enum error_code code, const char *detail);

#endif
