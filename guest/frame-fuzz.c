/* Feeds the parser with frames that were damaged at random. The sanitizers judge. usage: frame-fuzz SEED SECONDS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frame.h"

static uint64_t state;

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016. */
static uint64_t next(void) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717ull;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    state = strtoull(argv[1], NULL, 10) | 1;
    time_t end = time(NULL) + atoi(argv[2]);
    uint64_t rounds = 0, whole = 0, bad = 0;
    while (time(NULL) < end) {
        for (int i = 0; i < 10000; i++, rounds++) {
            size_t size = next() % 512;
            /* Exactly as large as it is, so that a byte too far is seen. */
            uint8_t *bytes = malloc(size ? size : 1);
            for (size_t j = 0; j < size; j++) bytes[j] = (uint8_t)(next() % 5 ? 0 : next());
            if (size >= FRAME_HEADER_BYTES && next() % 2) frame_header(bytes, (uint8_t)next(), next() % (size + 16));
            struct frame f;
            size_t used = 0;
            size_t limit = next() % 2 ? FRAME_MAX_PAYLOAD : HELLO_MAX_PAYLOAD;
            enum frame_result result = frame_parse(bytes, size, limit, &f, &used);
            if (result == FRAME_WHOLE) {
                if (used > size || f.size > limit || f.size + FRAME_HEADER_BYTES != used) abort();
                struct reader r = {f.payload, f.size, false};
                uint64_t sum = 0;
                while (!reader_done(&r) && !r.bad) {
                    switch (next() % 6) {
                    case 0: sum += read_u8(&r); break;
                    case 1: sum += read_u16(&r); break;
                    case 2: sum += read_u32(&r); break;
                    case 3: sum += read_u64(&r); break;
                    default: {
                        struct span s = next() % 2 ? read_string(&r) : read_bytes(&r, next() % 64);
                        for (size_t k = 0; k < s.size; k++) sum += s.bytes[k];
                    }
                    }
                }
                if (r.left > f.size) abort();
                whole += sum != UINT64_MAX;
            }
            bad += result == FRAME_BAD;
            free(bytes);
        }
    }
    printf("%llu rounds, %llu whole frames, %llu refused\n", (unsigned long long)rounds, (unsigned long long)whole, (unsigned long long)bad);
    return whole && bad ? 0 : 1;
}
