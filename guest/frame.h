/* Frames and the values in them, as guest/PROTOCOL.md says. Pure: no input, no output, no memory of its own. */
#ifndef DORMOUSE_FRAME_H
#define DORMOUSE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROTOCOL_VERSION = 1,
    TOKEN_BYTES = 32,
    FRAME_HEADER_BYTES = 5,
    /* Largest payload of a request: that of one to run a program. */
    FRAME_MAX_PAYLOAD = 4 * 1024 * 1024,
    /* Most bytes of data in one frame, either way; an offset may stand before them. */
    FRAME_CHUNK = 64 * 1024,
    DATA_MAX_PAYLOAD = 8 + FRAME_CHUNK,
    /* Largest payload from a peer that has not shown the token. A hello has 37 bytes. */
    HELLO_MAX_PAYLOAD = 64,
};

enum frame_type {
    /* From the host. */
    FT_HELLO = 0x01,
    FT_PING = 0x10,
    FT_IDENTIFY = 0x11,
    FT_GROW = 0x12,
    FT_EXEC = 0x20,
    FT_STDIN = 0x21,
    FT_STDIN_END = 0x22,
    FT_KILL = 0x23,
    FT_READ = 0x30,
    FT_WRITE = 0x31,
    FT_POWEROFF = 0x40,
    /* From the guest. */
    FT_OK = 0x80,
    FT_ERROR = 0x81,
    FT_STARTED = 0x82,
    FT_STDOUT = 0x83,
    FT_STDERR = 0x84,
    FT_EXIT = 0x85,
    /* Either way: the content of a file. */
    FT_DATA = 0x90,
    FT_DATA_END = 0x91,
};

enum error_code {
    E_TOKEN = 1,
    E_MALFORMED = 2,
    E_UNKNOWN = 3,
    E_BUSY = 4,
    E_INTERNAL = 5,
    E_NOT_A_GUEST = 6,
    E_NOT_FOUND = 10,
    E_NOT_EXECUTABLE = 11,
    E_BAD_CWD = 12,
    E_UNKNOWN_USER = 13,
    E_NO_SUCH_EXEC = 14,
    E_FILE = 20,
    E_TOO_LARGE = 21,
};

/* A frame inside a buffer. */
struct frame {
    uint8_t type;
    const uint8_t *payload;
    size_t size;
};

enum frame_result { FRAME_WHOLE, FRAME_PARTIAL, FRAME_BAD };

/*
 * Finds the frame at the start of `bytes`. FRAME_WHOLE: `*used` bytes are it. FRAME_BAD: its payload is larger than
 * `max_payload` bytes.
 */
enum frame_result frame_parse(const uint8_t *bytes, size_t size, size_t max_payload, struct frame *out, size_t *used);

/* Writes the five bytes before a payload of `size` bytes. */
void frame_header(uint8_t out[FRAME_HEADER_BYTES], uint8_t type, size_t size);

/* Reads values off a payload, in order. After the first that is not there, `bad` is set and the rest are empty. */
struct reader {
    const uint8_t *at;
    size_t left;
    bool bad;
};

struct span {
    const uint8_t *bytes;
    size_t size;
};

uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
struct span read_bytes(struct reader *r, size_t size);
/* A length (u32) and that many bytes. */
struct span read_string(struct reader *r);
/* True when all was there and nothing is left. */
bool reader_done(const struct reader *r);

/* Equal, in a time that does not depend on where they differ. */
bool same_token(const uint8_t a[TOKEN_BYTES], const uint8_t b[TOKEN_BYTES]);

void put_u32(uint8_t *out, uint32_t value);
void put_u64(uint8_t *out, uint64_t value);

#endif
