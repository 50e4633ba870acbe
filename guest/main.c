/*
 * The guest kit. As PID 1 it boots the sandbox and serves; as an ordinary process (`kit serve`) it only serves, so that
 * protocol and programs can be tested without a machine.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool fail(struct failure *f, enum error_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    f->code = code;
    vsnprintf(f->text, sizeof f->text, format, arguments);
    va_end(arguments);
    return false;
}

static bool parse_token(const char *hex, uint8_t token[TOKEN_BYTES]) {
    if (strlen(hex) != 2 * TOKEN_BYTES) return false;
    for (size_t i = 0; i < TOKEN_BYTES; i++) {
        unsigned value;
        if (sscanf(hex + 2 * i, "%2x", &value) != 1) return false;
        token[i] = (uint8_t)value;
    }
    return true;
}

int main(int argc, char **argv) {
    uint8_t token[TOKEN_BYTES] = {0};
    int port = 0;
    /* First, so that it never boots what is a container and no machine. */
    if (argc == 4 && !strcmp(argv[1], "serve") && parse_token(argv[3], token)) {
        /* As PID 1, it inherits what programs leave behind. */
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        int listener = listen_on("127.0.0.1", atoi(argv[2]), &port);
        printf("%d\n", port);
        fflush(stdout);
        serve(listener, token);
    }
    if (getpid() == 1) {
        boot(token);
        serve(listen_on("0.0.0.0", KIT_PORT, &port), token);
    }
    fprintf(stderr, "usage: kit serve PORT TOKEN\nServes the guest protocol on loopback, for tests. Port 0: any, printed.\n");
    return 2;
}
