#include "request.h"

#include <string.h>

enum {
  MAGIC_BYTES = 4,
  HELLO_BYTES = MAGIC_BYTES + 2 + TOKEN_BYTES,
  /* Highest signal number of Linux. */
  SIGNAL_MAX = 64,
};
static const uint8_t MAGIC[MAGIC_BYTES] = {'D', 'M', 'S', 'E'};

size_t payload_max_of_stranger(uint8_t type) {
  return type == FRAME_HELLO ? HELLO_BYTES : 0;
}

size_t payload_max_of_host(uint8_t type) {
  return type == FRAME_EXEC ? EXEC_PAYLOAD_MAX : PAYLOAD_MAX;
}

bool decode_hello(const struct frame *frame, struct hello *hello) {
  struct reader reader = reader_of(frame);
  const uint8_t *magic = take_bytes(&reader, MAGIC_BYTES);
  if (reader.bad || memcmp(magic, MAGIC, MAGIC_BYTES)) return false;
  hello->version = (uint16_t)take_number(&reader, 2);
  hello->token = take_bytes(&reader, TOKEN_BYTES);
  return reader_done(&reader);
}

bool decode_identity(const struct frame *frame, struct identity *identity) {
  struct reader reader = reader_of(frame);
  identity->clock_ns = take_number(&reader, 8);
  identity->entropy = take_bytes(&reader, ENTROPY_BYTES);
  identity->next_token = take_bytes(&reader, TOKEN_BYTES);
  identity->machine_id = take_bytes(&reader, MACHINE_ID_BYTES);
  identity->mac = take_bytes(&reader, MAC_BYTES);
  identity->hostname = take_string(&reader, HOSTNAME_MAX);
  return reader_done(&reader) && *identity->hostname;
}

/* Ids name nothing outside the kit; the narrow alphabet keeps them printable. */
static const char *take_exec_id(struct reader *reader) {
  const char *id = take_string(reader, EXEC_ID_MAX);
  size_t length = strlen(id);
  if (length < EXEC_ID_MIN ||
      length != strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"))
    reader->bad = true;
  return id;
}

static size_t take_strings(struct reader *reader, const char **strings, size_t max) {
  size_t count = (size_t)take_number(reader, 2);
  if (count > max) reader->bad = true;
  for (size_t i = 0; i < count && !reader->bad; i++) strings[i] = take_string(reader, EXEC_PAYLOAD_MAX);
  return reader->bad ? 0 : count;
}

bool decode_exec(const struct frame *frame, struct exec_request *request) {
  struct reader reader = reader_of(frame);
  request->id = take_exec_id(&reader);
  request->timeout_ms = (uint32_t)take_number(&reader, 4);
  request->output_limit = (uint32_t)take_number(&reader, 4);
  uint8_t has_stdin = (uint8_t)take_number(&reader, 1);
  request->has_stdin = has_stdin == 1;
  request->cwd = take_string(&reader, PATH_LENGTH_MAX);
  request->user = take_string(&reader, USER_NAME_MAX);
  request->argument_count = take_strings(&reader, request->arguments, ARGUMENTS_MAX);
  request->arguments[request->argument_count] = NULL;
  request->variable_count = take_strings(&reader, request->variables, VARIABLES_MAX);
  for (size_t i = 0; i < request->variable_count; i++)
    if (*request->variables[i] == '=' || !strchr(request->variables[i], '=')) return false;
  return reader_done(&reader) && has_stdin <= 1 && request->argument_count > 0 &&
         request->output_limit <= OUTPUT_LIMIT_MAX;
}

bool decode_stdin(const struct frame *frame, struct stdin_piece *piece) {
  struct reader reader = reader_of(frame);
  piece->offset = take_number(&reader, 8);
  piece->length = (size_t)(reader.end - reader.at);
  piece->bytes = take_bytes(&reader, piece->length);
  return reader_done(&reader) && piece->length <= CHUNK_BYTES;
}

bool decode_kill(const struct frame *frame, struct kill_request *request) {
  struct reader reader = reader_of(frame);
  request->id = take_exec_id(&reader);
  request->signal = (uint8_t)take_number(&reader, 1);
  return reader_done(&reader) && request->signal >= 1 && request->signal <= SIGNAL_MAX;
}

bool decode_read_file(const struct frame *frame, struct read_file_request *request) {
  struct reader reader = reader_of(frame);
  request->path = take_string(&reader, PATH_LENGTH_MAX);
  request->limit = take_number(&reader, 8);
  return reader_done(&reader) && *request->path == '/';
}

bool decode_write_file(const struct frame *frame, struct write_file_request *request) {
  struct reader reader = reader_of(frame);
  request->path = take_string(&reader, PATH_LENGTH_MAX);
  request->mode = (uint32_t)take_number(&reader, 4);
  request->size = take_number(&reader, 8);
  return reader_done(&reader) && *request->path == '/' && request->mode <= 07777;
}

bool decode_nothing(const struct frame *frame) {
  return frame->payload_bytes == 0;
}
