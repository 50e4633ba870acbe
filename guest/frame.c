#include "frame.h"

enum frame_result frame_parse(const uint8_t *bytes, size_t size, size_t max_payload, struct frame *out, size_t *used) {
    if (size < FRAME_HEADER_BYTES) return FRAME_PARTIAL;
    struct reader r = {bytes, size, false};
    size_t payload = read_u32(&r);
    if (payload > max_payload) return FRAME_BAD;
    out->type = read_u8(&r);
    if (r.left < payload) return FRAME_PARTIAL;
    out->payload = r.at;
    out->size = payload;
    *used = FRAME_HEADER_BYTES + payload;
    return FRAME_WHOLE;
}

void frame_header(uint8_t out[FRAME_HEADER_BYTES], uint8_t type, size_t size) {
    put_u32(out, (uint32_t)size);
    out[4] = type;
}

static uint64_t read_integer(struct reader *r, size_t bytes) {
    struct span s = read_bytes(r, bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < s.size; i++) value |= (uint64_t)s.bytes[i] << (8 * i);
    return value;
}

uint8_t read_u8(struct reader *r) { return (uint8_t)read_integer(r, 1); }
uint16_t read_u16(struct reader *r) { return (uint16_t)read_integer(r, 2); }
uint32_t read_u32(struct reader *r) { return (uint32_t)read_integer(r, 4); }
uint64_t read_u64(struct reader *r) { return read_integer(r, 8); }

struct span read_bytes(struct reader *r, size_t size) {
    if (r->bad || size > r->left) {
        r->bad = true;
        return (struct span){0};
    }
    struct span s = {r->at, size};
    r->at += size;
    r->left -= size;
    return s;
}

struct span read_string(struct reader *r) { return read_bytes(r, read_u32(r)); }

bool reader_done(const struct reader *r) { return !r->bad && r->left == 0; }

bool same_token(const uint8_t a[TOKEN_BYTES], const uint8_t b[TOKEN_BYTES]) {
    uint8_t difference = 0;
    for (size_t i = 0; i < TOKEN_BYTES; i++) difference |= a[i] ^ b[i];
    return difference == 0;
}

void put_u32(uint8_t *out, uint32_t value) {
    for (size_t i = 0; i < 4; i++) out[i] = (uint8_t)(value >> (8 * i));
}

void put_u64(uint8_t *out, uint64_t value) {
    for (size_t i = 0; i < 8; i++) out[i] = (uint8_t)(value >> (8 * i));
}
