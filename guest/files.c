/*
 * Files of the guest, read and written for the host. A file is replaced as a whole or not at all. The serving thread waits
 * for the disk, at most for FRAME_CHUNK bytes at a time: a regular file cannot be polled.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

static bool path_of(struct span s, char *out, size_t size, struct failure *f) {
    if (s.size == 0 || s.size >= size || s.bytes[0] != '/' || memchr(s.bytes, 0, s.size)) return fail(f, E_FILE, "the path must be absolute and shorter than %zu bytes", size);
    memcpy(out, s.bytes, s.size);
    out[s.size] = 0;
    return true;
}

int file_open_read(struct span path, uint64_t limit, struct failure *f) {
    char name[4096];
    if (!path_of(path, name, sizeof name, f)) return -1;
    /* O_NONBLOCK: a pipe that nobody writes to must not stop PID 1. */
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat s;
    if (file < 0 || fstat(file, &s)) fail(f, E_FILE, "%s: %s", name, strerror(errno));
    else if (!S_ISREG(s.st_mode)) fail(f, E_FILE, "%s: not a regular file", name);
    else if ((uint64_t)s.st_size > limit) fail(f, E_TOO_LARGE, "%.100s has %llu bytes, the limit is %llu", name, (unsigned long long)s.st_size, (unsigned long long)limit);
    else return file;
    if (file >= 0) close(file);
    return -1;
}

bool file_write_begin(struct reader *request, struct writing *w, struct failure *f) {
    struct span path = read_string(request);
    mode_t mode = read_u32(request) & 07777;
    if (!reader_done(request)) return fail(f, E_MALFORMED, "the request is not whole");
    if (!path_of(path, w->path, sizeof w->path, f)) return false;
    static unsigned number;
    snprintf(w->temporary, sizeof w->temporary, "%s.dormouse-%x-%x", w->path, (unsigned)now_ms(), number++);
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (w->fd < 0) return fail(f, E_FILE, "%s: %s", w->path, strerror(errno));
    fchmod(w->fd, mode);
    return true;
}

bool file_write_more(struct writing *w, struct span bytes, struct failure *f) {
    while (bytes.size > 0) {
        ssize_t written = write(w->fd, bytes.bytes, bytes.size);
        if (written < 0) {
            fail(f, E_FILE, "%s: %s", w->path, strerror(errno));
            file_write_abort(w);
            return false;
        }
        bytes.bytes += written;
        bytes.size -= (size_t)written;
    }
    return true;
}

bool file_write_end(struct writing *w, struct failure *f) {
    close(w->fd);
    w->fd = -1;
    if (!rename(w->temporary, w->path)) return true;
    fail(f, E_FILE, "%s: %s", w->path, strerror(errno));
    unlink(w->temporary);
    return false;
}

void file_write_abort(struct writing *w) {
    if (w->fd < 0) return;
    close(w->fd);
    w->fd = -1;
    unlink(w->temporary);
}
