/* What the host asks, decoded from frames: pure functions. All pointers point into the frame. */
#ifndef REQUEST_H
#define REQUEST_H

#include "frame.h"

enum {
  ENTROPY_BYTES = 64,
  MACHINE_ID_BYTES = 16,
  MAC_BYTES = 6,
  HOSTNAME_MAX = 64,
  PATH_LENGTH_MAX = 4096,
  USER_NAME_MAX = 256,
  EXEC_ID_MIN = 16,
  EXEC_ID_MAX = 64,
  ARGUMENTS_MAX = 4096,
  VARIABLES_MAX = 1024,
  OUTPUT_LIMIT_MAX = 1024 * 1024,
};

struct hello {
  uint16_t version;
  const uint8_t *token;
};

struct identity {
  uint64_t clock_ns;
  const uint8_t *entropy;
  const uint8_t *next_token;
  const uint8_t *machine_id;
  const uint8_t *mac;
  const char *hostname;
};

struct exec_request {
  const char *id;
  /* 0 for none. */
  uint32_t timeout_ms;
  uint32_t output_limit;
  bool has_stdin;
  /* Empty for the user's home. */
  const char *cwd;
  /* Empty for root. */
  const char *user;
  size_t argument_count;
  const char *arguments[ARGUMENTS_MAX + 1];
  size_t variable_count;
  const char *variables[VARIABLES_MAX];
};

/* A piece of standard input: where in the stream it belongs. */
struct stdin_piece {
  uint64_t offset;
  const uint8_t *bytes;
  size_t length;
};

struct kill_request {
  const char *id;
  uint8_t signal;
};

struct read_file_request {
  const char *path;
  uint64_t limit;
};

struct write_file_request {
  const char *path;
  uint32_t mode;
  uint64_t size;
};

/* Largest payload that a host may send, by type of frame: before and after its token was accepted. */
size_t payload_max_of_stranger(uint8_t type);
size_t payload_max_of_host(uint8_t type);

/* Each returns false when the payload is not exactly what PROTOCOL.md says. */
bool decode_hello(const struct frame *frame, struct hello *hello);
bool decode_identity(const struct frame *frame, struct identity *identity);
bool decode_exec(const struct frame *frame, struct exec_request *request);
bool decode_stdin(const struct frame *frame, struct stdin_piece *piece);
bool decode_kill(const struct frame *frame, struct kill_request *request);
bool decode_read_file(const struct frame *frame, struct read_file_request *request);
bool decode_write_file(const struct frame *frame, struct write_file_request *request);
bool decode_nothing(const struct frame *frame);

#endif
