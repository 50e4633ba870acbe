#include "frame.h"

#include <string.h>

static const uint8_t NOTHING[1] = {0};

static uint64_t number_at(const uint8_t *bytes, size_t length) {
  uint64_t value = 0;
  for (size_t i = length; i > 0; i--) value = value << 8 | bytes[i - 1];
  return value;
}

enum frame_state frame_parse(const uint8_t *bytes, size_t length, size_t (*payload_max)(uint8_t type),
                             struct frame *frame, size_t *needed) {
  *needed = FRAME_HEADER_BYTES;
  if (length < FRAME_HEADER_BYTES) return FRAME_PARTIAL;
  size_t counted = (size_t)number_at(bytes, 4);
  uint8_t type = bytes[4];
  if (counted < 1 || counted - 1 > payload_max(type)) return FRAME_BAD;
  *needed = 4 + counted;
  if (length < *needed) return FRAME_PARTIAL;
  *frame = (struct frame){type, bytes + FRAME_HEADER_BYTES, counted - 1};
  return FRAME_WHOLE;
}

struct reader reader_of(const struct frame *frame) {
  return (struct reader){frame->payload, frame->payload + frame->payload_bytes, false};
}

const uint8_t *take_bytes(struct reader *reader, size_t bytes) {
  if (reader->bad || (size_t)(reader->end - reader->at) < bytes) {
    reader->bad = true;
    return NOTHING;
  }
  const uint8_t *taken = reader->at;
  reader->at += bytes;
  return taken;
}

uint64_t take_number(struct reader *reader, size_t bytes) {
  const uint8_t *taken = take_bytes(reader, bytes);
  return reader->bad ? 0 : number_at(taken, bytes);
}

const char *take_string(struct reader *reader, size_t max) {
  size_t length = (size_t)take_number(reader, 4);
  if (length > max) reader->bad = true;
  const char *text = (const char *)take_bytes(reader, reader->bad ? 0 : length + 1);
  /* Exactly one NUL, and at the end: what C reads is what was sent. */
  if (!reader->bad && strnlen(text, length + 1) != length) reader->bad = true;
  return reader->bad ? "" : text;
}

bool reader_done(const struct reader *reader) {
  return !reader->bad && reader->at == reader->end;
}

struct writer frame_begin(uint8_t *buffer, size_t capacity, enum frame_type type) {
  struct writer writer = {buffer, buffer, buffer + capacity, false};
  put_number(&writer, 0, 4);
  put_number(&writer, type, 1);
  return writer;
}

void put_bytes(struct writer *writer, const void *bytes, size_t length) {
  if (writer->full || (size_t)(writer->end - writer->at) < length) {
    writer->full = true;
    return;
  }
  if (length > 0) memcpy(writer->at, bytes, length);
  writer->at += length;
}

void put_number(struct writer *writer, uint64_t value, size_t bytes) {
  uint8_t little[8];
  for (size_t i = 0; i < bytes; i++) little[i] = (uint8_t)(value >> (8 * i));
  put_bytes(writer, little, bytes);
}

void put_string(struct writer *writer, const char *text) {
  size_t length = strlen(text);
  put_number(writer, length, 4);
  put_bytes(writer, text, length + 1);
}

size_t frame_finish(struct writer *writer) {
  if (writer->full) return 0;
  size_t length = (size_t)(writer->at - writer->start);
  struct writer head = {writer->start, writer->start, writer->end, false};
  put_number(&head, length - 4, 4);
  return length;
}

size_t frame_error(uint8_t *buffer, size_t capacity, enum error_code code, const char *detail) {
  char shown[256];
  size_t length = strnlen(detail, sizeof shown - 1);
  memcpy(shown, detail, length);
  shown[length] = 0;
  struct writer writer = frame_begin(buffer, capacity, FRAME_ERROR);
  put_number(&writer, code, 2);
  put_string(&writer, shown);
  return frame_finish(&writer);
}
