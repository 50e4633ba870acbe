/*
 * Serves requests over TCP, one connection for each, in one thread: a poll loop over connections, the pipes of programs,
 * and the signals of children. A connection that misbehaves is closed; the others never notice.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

enum {
    READ_BYTES = 64 * 1024,
    /* A connection that has not shown its token by then is closed. */
    HELLO_LIMIT_MS = 5000,
    OUT_MAX = FRAME_HEADER_BYTES + 8 + FRAME_CHUNK,
};

enum phase { P_FREE, P_HELLO, P_REQUEST, P_EXEC, P_READING, P_WRITING, P_CLOSING };

struct connection {
    enum phase phase;
    int fd;
    uint64_t since_ms;
    uint8_t *in;
    size_t in_size, in_room;
    uint8_t out[OUT_MAX];
    size_t out_size, out_at;
    struct exec *exec;
    size_t sent_out, sent_err;
    bool exit_sent, stdin_ended;
    int file;
    uint64_t file_left;
    struct writing writing;
    bool change_mac, power_off;
    uint8_t mac[6];
};

static struct connection connections[MAX_CONNECTIONS];
static uint8_t current_token[TOKEN_BYTES];

int listen_on(const char *address, int port, int *bound_port) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof a;
    inet_pton(AF_INET, address, &a.sin_addr);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 128) || getsockname(s, (struct sockaddr *)&a, &size)) {
        perror("KIT-FAIL listen");
        exit(1);
    }
    *bound_port = ntohs(a.sin_port);
    return s;
}

static void drop(struct connection *c) {
    close(c->fd);
    free(c->in);
    if (c->file >= 0) close(c->file);
    if (c->phase == P_WRITING) file_write_abort(&c->writing);
    if (c->exec) c->exec->watchers--;
    *c = (struct connection){.fd = -1, .file = -1, .writing = {.fd = -1}};
}

/* Puts a frame into the output. Its payload is `a` and then `b`. There is room: a frame is only made when the last is out. */
static void put_frame(struct connection *c, uint8_t type, const void *a, size_t a_size, const void *b, size_t b_size) {
    uint8_t *at = c->out + c->out_size;
    frame_header(at, type, a_size + b_size);
    if (a_size) memcpy(at + FRAME_HEADER_BYTES, a, a_size);
    if (b_size) memcpy(at + FRAME_HEADER_BYTES + a_size, b, b_size);
    c->out_size += FRAME_HEADER_BYTES + a_size + b_size;
}

static void answer_error(struct connection *c, const struct failure *f) {
    uint8_t code[2] = {(uint8_t)f->code, (uint8_t)(f->code >> 8)};
    c->out_size = c->out_at = 0;
    put_frame(c, FT_ERROR, code, sizeof code, f->text, strlen(f->text));
    c->phase = P_CLOSING;
}

static void answer_ok(struct connection *c) {
    uint8_t uptime[8];
    put_u64(uptime, now_ms());
    put_frame(c, FT_OK, uptime, sizeof uptime, KIT_VERSION, strlen(KIT_VERSION));
    c->phase = P_CLOSING;
}

static void take_hello(struct connection *c, struct frame f) {
    struct reader r = {f.payload, f.size, false};
    struct span magic = read_bytes(&r, 4);
    uint8_t version = read_u8(&r);
    struct span shown = read_bytes(&r, TOKEN_BYTES);
    struct failure failure;
    if (f.type != FT_HELLO || !reader_done(&r) || memcmp(magic.bytes, "DMSE", 4) || version != PROTOCOL_VERSION) {
        fail(&failure, E_MALFORMED, "the first frame must be a hello of version %d", PROTOCOL_VERSION);
        answer_error(c, &failure);
    } else if (!same_token(shown.bytes, current_token)) {
        fail(&failure, E_TOKEN, "the token is not the one of this run");
        answer_error(c, &failure);
    } else {
        c->phase = P_REQUEST;
    }
}

static bool read_id(struct reader *r, char id[EXEC_ID_MAX + 1]) {
    struct span s = read_string(r);
    if (r->bad || s.size == 0 || s.size > EXEC_ID_MAX || memchr(s.bytes, 0, s.size)) return false;
    memcpy(id, s.bytes, s.size);
    id[s.size] = 0;
    return true;
}

static void take_exec(struct connection *c, struct reader *r) {
    char id[EXEC_ID_MAX + 1];
    struct failure f = {E_MALFORMED, "the request to run a program is not whole"};
    if (!read_id(r, id)) {
        answer_error(c, &f);
        return;
    }
    struct exec *e = exec_find(id);
    if (e) c->stdin_ended = true; /* It had its input from the connection that started it. */
    else e = exec_start(id, r, &f);
    if (!e) {
        answer_error(c, &f);
        return;
    }
    c->exec = e;
    e->watchers++;
    uint8_t pid[4];
    put_u32(pid, (uint32_t)e->pid);
    put_frame(c, FT_STARTED, pid, sizeof pid, NULL, 0);
    c->phase = P_EXEC;
}

static void take_identify(struct connection *c, struct frame frame) {
    struct identity identity;
    struct failure f;
    if (!parse_identity(frame, &identity)) {
        fail(&f, E_MALFORMED, "the identity is not whole");
        answer_error(c, &f);
    } else if (!take_identity(&identity, &f)) {
        answer_error(c, &f);
    } else {
        memcpy(current_token, identity.next_token.bytes, TOKEN_BYTES);
        memcpy(c->mac, identity.mac.bytes, sizeof c->mac);
        /* After the answer has left: its packets carry the address that the host knows. */
        c->change_mac = true;
        answer_ok(c);
    }
}

static void take_request(struct connection *c, struct frame frame) {
    struct reader r = {frame.payload, frame.size, false};
    struct failure f;
    char id[EXEC_ID_MAX + 1];
    switch (frame.type) {
    case FT_PING:
        answer_ok(c);
        return;
    case FT_IDENTIFY:
        take_identify(c, frame);
        return;
    case FT_GROW:
        if (grow_root(&f)) answer_ok(c);
        else answer_error(c, &f);
        return;
    case FT_EXEC:
        take_exec(c, &r);
        return;
    case FT_KILL: {
        bool whole = read_id(&r, id);
        uint8_t signal = read_u8(&r);
        struct exec *e = whole && reader_done(&r) ? exec_find(id) : NULL;
        if (!e) {
            fail(&f, E_NO_SUCH_EXEC, "there is no such program");
            answer_error(c, &f);
        } else {
            exec_kill(e, signal);
            answer_ok(c);
        }
        return;
    }
    case FT_READ: {
        struct span path = read_string(&r);
        c->file_left = read_u32(&r);
        if (!reader_done(&r)) fail(&f, E_MALFORMED, "the request is not whole");
        else if ((c->file = file_open_read(path, &f)) >= 0) {
            c->phase = P_READING;
            return;
        }
        answer_error(c, &f);
        return;
    }
    case FT_WRITE:
        if (file_write_begin(&r, &c->writing, &f)) c->phase = P_WRITING;
        else answer_error(c, &f);
        return;
    case FT_POWEROFF:
        c->power_off = true;
        answer_ok(c);
        return;
    default:
        fail(&f, E_UNKNOWN, "there is no request 0x%02x", frame.type);
        answer_error(c, &f);
    }
}

static void take_frame(struct connection *c, struct frame frame) {
    struct span bytes = {frame.payload, frame.size};
    struct failure f = {E_MALFORMED, "this frame does not belong here"};
    switch (c->phase) {
    case P_HELLO:
        take_hello(c, frame);
        return;
    case P_REQUEST:
        take_request(c, frame);
        return;
    case P_EXEC:
        if (frame.type == FT_STDIN && (c->stdin_ended || exec_stdin(c->exec, bytes))) return;
        if (frame.type == FT_STDIN_END) {
            if (!c->stdin_ended) exec_stdin_end(c->exec);
            c->stdin_ended = true;
            return;
        }
        answer_error(c, &f);
        return;
    case P_WRITING:
        if (frame.type == FT_DATA && file_write_more(&c->writing, bytes, &f)) return;
        if (frame.type == FT_DATA_END && file_write_end(&c->writing, &f)) {
            answer_ok(c);
            return;
        }
        file_write_abort(&c->writing);
        answer_error(c, &f);
        return;
    default:
        return; /* What comes after the end is not read. */
    }
}

/* Reads what has come and deals with the frames that are whole. False when the connection is over. */
static bool pump_in(struct connection *c) {
    if (c->in_room - c->in_size < READ_BYTES) {
        size_t room = c->in_size + READ_BYTES;
        uint8_t *grown = realloc(c->in, room);
        if (!grown) return false;
        c->in = grown;
        c->in_room = room;
    }
    ssize_t size = recv(c->fd, c->in + c->in_size, c->in_room - c->in_size, 0);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size == 0) return false;
    c->in_size += (size_t)size;
    size_t used = 0, at = 0;
    struct frame frame;
    while (c->phase != P_CLOSING) {
        enum frame_result result = frame_parse(c->in + at, c->in_size - at, &frame, &used);
        if (result == FRAME_PARTIAL) break;
        if (result == FRAME_BAD) return false;
        take_frame(c, frame);
        at += used;
    }
    memmove(c->in, c->in + at, c->in_size - at);
    c->in_size -= at;
    if (c->phase == P_CLOSING) c->in_size = 0;
    return true;
}

/* Sends the next piece of a stream. False when there is none. */
static bool put_output(struct connection *c, uint8_t type, const struct stream *s, size_t *sent) {
    size_t left = s->kept - *sent, size = left < FRAME_CHUNK ? left : FRAME_CHUNK;
    if (size == 0) return false;
    uint8_t offset[8];
    put_u64(offset, *sent);
    put_frame(c, type, offset, sizeof offset, s->bytes + *sent, size);
    *sent += size;
    return true;
}

static void put_exit(struct connection *c) {
    const struct exec *e = c->exec;
    uint8_t p[27];
    bool signalled = WIFSIGNALED(e->status);
    p[0] = signalled;
    p[1] = (uint8_t)(signalled ? WTERMSIG(e->status) : WEXITSTATUS(e->status));
    p[2] = e->timed_out;
    put_u64(p + 3, e->ended_ms - e->started_ms);
    put_u64(p + 11, e->out.total);
    put_u64(p + 19, e->err.total);
    put_frame(c, FT_EXIT, p, sizeof p, NULL, 0);
    c->exit_sent = true;
    c->phase = P_CLOSING;
}

static void put_file(struct connection *c) {
    static uint8_t bytes[FRAME_CHUNK];
    size_t wanted = c->file_left < sizeof bytes ? c->file_left : sizeof bytes;
    ssize_t size = wanted ? read(c->file, bytes, wanted) : 0;
    if (size > 0) {
        c->file_left -= (uint64_t)size;
        put_frame(c, FT_DATA, bytes, (size_t)size, NULL, 0);
    } else {
        put_frame(c, FT_DATA_END, NULL, 0, NULL, 0);
        c->phase = P_CLOSING;
    }
}

/* Makes the next frame, when the one before is out. */
static void refill(struct connection *c) {
    c->out_size = c->out_at = 0;
    if (c->phase == P_READING) put_file(c);
    if (c->phase != P_EXEC) return;
    struct exec *e = c->exec;
    if (put_output(c, FT_STDOUT, &e->out, &c->sent_out) || put_output(c, FT_STDERR, &e->err, &c->sent_err)) return;
    if (e->reported) put_exit(c);
}

/* False when the connection is over. */
static bool pump_out(struct connection *c) {
    for (;;) {
        if (c->out_at == c->out_size) {
            if (c->phase == P_CLOSING) return false;
            refill(c);
            if (c->out_size == 0) return true;
        }
        ssize_t size = send(c->fd, c->out + c->out_at, c->out_size - c->out_at, MSG_NOSIGNAL);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        c->out_at += (size_t)size;
    }
}

static void over(struct connection *c) {
    bool change = c->change_mac, off = c->power_off && c->phase == P_CLOSING;
    uint8_t mac[6];
    memcpy(mac, c->mac, sizeof mac);
    shutdown(c->fd, SHUT_WR);
    drop(c);
    if (change) set_mac(mac);
    if (off) power_off();
}

static void take_connection(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), yes = 1;
    if (fd < 0) return;
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        struct connection *c = &connections[i];
        if (c->phase != P_FREE) continue;
        *c = (struct connection){.phase = P_HELLO, .fd = fd, .since_ms = now_ms(), .file = -1, .writing = {.fd = -1}};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        return;
    }
    close(fd);
}

static void reap(int signals) {
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGTERM && getpid() != 1) exit(0);
    }
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) exec_reaped(pid, status);
}

static short wants(struct connection *c) {
    bool more = c->out_at < c->out_size || c->phase == P_READING || c->phase == P_CLOSING ||
                (c->phase == P_EXEC && (c->sent_out < c->exec->out.kept || c->sent_err < c->exec->err.kept || c->exec->reported));
    return (short)((c->phase == P_CLOSING ? 0 : POLLIN) | (more ? POLLOUT : 0));
}

void serve(int listener, const uint8_t token[TOKEN_BYTES], bool is_init) {
    memcpy(current_token, token, TOKEN_BYTES);
    signal(SIGPIPE, SIG_IGN);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    if (is_init) sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    for (int i = 0; i < MAX_CONNECTIONS; i++) connections[i].fd = connections[i].file = connections[i].writing.fd = -1;

    static struct pollfd set[2 + MAX_CONNECTIONS + 3 * MAX_EXECS];
    static struct connection *of[2 + MAX_CONNECTIONS];
    for (;;) {
        int wait_ms = exec_tick();
        nfds_t n = 0;
        set[n++] = (struct pollfd){.fd = listener, .events = POLLIN};
        set[n++] = (struct pollfd){.fd = signals, .events = POLLIN};
        nfds_t first = n;
        for (int i = 0; i < MAX_CONNECTIONS; i++) {
            struct connection *c = &connections[i];
            if (c->phase == P_FREE) continue;
            if (c->phase == P_HELLO && (wait_ms < 0 || wait_ms > HELLO_LIMIT_MS)) wait_ms = HELLO_LIMIT_MS;
            of[n] = c;
            set[n++] = (struct pollfd){.fd = c->fd, .events = wants(c)};
        }
        nfds_t last = n;
        for (int i = 0; i < MAX_EXECS; i++) {
            struct exec *e = &execs[i];
            if (!e->used) continue;
            if (e->out.fd >= 0) set[n++] = (struct pollfd){.fd = e->out.fd, .events = POLLIN};
            if (e->err.fd >= 0) set[n++] = (struct pollfd){.fd = e->err.fd, .events = POLLIN};
            if (e->stdin_fd >= 0 && e->stdin_at < e->stdin_size) set[n++] = (struct pollfd){.fd = e->stdin_fd, .events = POLLOUT};
        }
        if (poll(set, n, wait_ms) < 0 && errno != EINTR) continue;
        if (set[1].revents) reap(signals);
        for (int i = 0; i < MAX_EXECS; i++) {
            if (!execs[i].used || execs[i].reported) continue;
            exec_pump(&execs[i].out);
            exec_pump(&execs[i].err);
            if (execs[i].stdin_at < execs[i].stdin_size) exec_pump_stdin(&execs[i]);
        }
        exec_tick();
        for (nfds_t i = first; i < last; i++) {
            struct connection *c = of[i];
            bool alive = true;
            if (set[i].revents & (POLLIN | POLLHUP | POLLERR)) alive = c->phase == P_CLOSING || pump_in(c);
            if (alive) alive = pump_out(c);
            if (alive && c->phase == P_HELLO && now_ms() - c->since_ms > HELLO_LIMIT_MS) alive = false;
            if (!alive) over(c);
        }
        if (set[0].revents) take_connection(listener);
    }
}
