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
    HELLO_LIMIT_MS = 1000,
    /* The host closes once it has the answer; it is waited for this long. */
    LINGER_MS = 1000,
    OUT_MAX = FRAME_HEADER_BYTES + 8 + FRAME_CHUNK,
    /* An error may follow a piece of output that has not left yet. */
    ERROR_MAX = FRAME_HEADER_BYTES + 2 + sizeof(((struct failure *)0)->text),
    /* Most input that is held for all connections together. */
    INPUT_TOTAL_MAX = 16 * 1024 * 1024,
    /* Frames that one connection may send before the others get their turn. */
    FRAMES_IN_A_ROW = 8,
    ACCEPTS_IN_A_ROW = 16,
};

/* P_CLOSING: the answer is on its way out. P_LINGERING: it has left, and the host is to close. */
enum phase { P_FREE, P_HELLO, P_REQUEST, P_EXEC, P_READING, P_WRITING, P_CLOSING, P_LINGERING };

struct connection {
    enum phase phase;
    int fd;
    /* When the phase P_HELLO or P_LINGERING began. */
    uint64_t since_ms;
    uint8_t *in;
    size_t in_size, in_room;
    uint8_t out[OUT_MAX + ERROR_MAX];
    size_t out_size, out_at;
    struct exec *exec;
    size_t sent_out, sent_err;
    int file;
    uint64_t file_left;
    struct writing writing;
    bool change_mac, power_off;
    uint8_t mac[6];
};

static struct connection connections[MAX_CONNECTIONS];
static uint8_t current_token[TOKEN_BYTES];
static size_t input_total;

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

/* Ends what a request holds, before the answer: a watched program, a file. Its answer is not touched. */
static void let_go(struct connection *c) {
    if (c->file >= 0) close(c->file);
    c->file = -1;
    file_write_abort(&c->writing);
    if (c->exec) c->exec->watchers--;
    c->exec = NULL;
}

static void input_free(struct connection *c) {
    input_total -= c->in_room;
    free(c->in);
    c->in = NULL;
    c->in_size = c->in_room = 0;
}

static void drop(struct connection *c) {
    let_go(c);
    close(c->fd);
    input_free(c);
    c->phase = P_FREE;
}

/* Puts a frame into the output. Its payload is `a` and then `b`. There is room: a piece of data is only made when the last is out. */
static void put_frame(struct connection *c, uint8_t type, const void *a, size_t a_size, const void *b, size_t b_size) {
    uint8_t *at = c->out + c->out_size;
    frame_header(at, type, a_size + b_size);
    if (a_size) memcpy(at + FRAME_HEADER_BYTES, a, a_size);
    if (b_size) memcpy(at + FRAME_HEADER_BYTES + a_size, b, b_size);
    c->out_size += FRAME_HEADER_BYTES + a_size + b_size;
}

static void answer_error(struct connection *c, const struct failure *f) {
    uint8_t code[2] = {(uint8_t)f->code, (uint8_t)(f->code >> 8)};
    if (c->out_at == c->out_size) c->out_size = c->out_at = 0;
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
    if (!e) e = exec_start(id, r, &f);
    if (!e) {
        answer_error(c, &f);
        return;
    }
    c->exec = e;
    e->watchers++;
    uint8_t p[13];
    put_u32(p, (uint32_t)e->pid);
    put_u64(p + 4, e->stdin_received);
    p[12] = e->stdin_ended;
    put_frame(c, FT_STARTED, p, sizeof p, NULL, 0);
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
        /* When the host has the answer, whose packets must carry the address that it knows. */
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
    case FT_GROW: {
        uint64_t least_bytes = frame.size > 0 ? read_u64(&r) : 0;
        if (!reader_done(&r)) fail(&f, E_MALFORMED, "the request is not whole");
        else if (grow_root(least_bytes, &f)) {
            answer_ok(c);
            return;
        }
        answer_error(c, &f);
        return;
    }
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
        else if ((c->file = file_open_read(path, c->file_left, &f)) >= 0) {
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
        if (in_guest()) {
            c->power_off = true;
            answer_ok(c);
        } else {
            fail(&f, E_NOT_A_GUEST, "not in a guest");
            answer_error(c, &f);
        }
        return;
    default:
        fail(&f, E_UNKNOWN, "there is no request 0x%02x", frame.type);
        answer_error(c, &f);
    }
}

static void take_frame(struct connection *c, struct frame frame) {
    struct reader r = {frame.payload, frame.size, false};
    struct failure f = {E_MALFORMED, "this frame does not belong here"};
    switch (c->phase) {
    case P_HELLO:
        take_hello(c, frame);
        return;
    case P_REQUEST:
        take_request(c, frame);
        return;
    case P_EXEC: {
        uint64_t offset = frame.type == FT_STDIN ? read_u64(&r) : 0;
        if (frame.type == FT_STDIN && !r.bad && exec_stdin(c->exec, offset, (struct span){r.at, r.left})) return;
        if (frame.type == FT_STDIN_END && reader_done(&r)) {
            exec_stdin_end(c->exec);
            return;
        }
        answer_error(c, &f);
        return;
    }
    case P_WRITING:
        if (frame.type == FT_DATA && file_write_more(&c->writing, (struct span){frame.payload, frame.size}, &f)) return;
        if (frame.type == FT_DATA_END && file_write_end(&c->writing, &f)) {
            answer_ok(c);
            return;
        }
        answer_error(c, &f);
        return;
    default:
        return;
    }
}

/* Largest payload that may come next. Who has not shown the token gets little of our memory. */
static size_t payload_limit(const struct connection *c) {
    if (c->phase == P_HELLO) return HELLO_MAX_PAYLOAD;
    return c->phase == P_REQUEST ? FRAME_MAX_PAYLOAD : DATA_MAX_PAYLOAD;
}

/* True while frames of the connection are dealt with. A program that does not take its input holds up who sends it. */
static bool takes_frames(const struct connection *c) {
    if (c->phase == P_EXEC) return exec_wants_stdin(c->exec);
    return c->phase < P_EXEC || c->phase == P_WRITING;
}

/* Makes room for more input: at first for a hello, then as much as the frame that is coming in needs, a bit at a time. */
static bool make_room(struct connection *c) {
    if (c->in_size < c->in_room) return true;
    size_t room = FRAME_HEADER_BYTES + HELLO_MAX_PAYLOAD, most = FRAME_HEADER_BYTES + payload_limit(c);
    if (c->phase != P_HELLO) room = 2 * c->in_room > READ_BYTES ? 2 * c->in_room : READ_BYTES;
    if (room > most && most > c->in_size) room = most;
    if (input_total - c->in_room + room > INPUT_TOTAL_MAX) return false;
    uint8_t *grown = realloc(c->in, room);
    if (!grown) return false;
    input_total += room - c->in_room;
    c->in = grown;
    c->in_room = room;
    return true;
}

/* Deals with the frames that are whole. False when the connection is over. */
static bool take_frames(struct connection *c) {
    size_t used = 0, at = 0;
    struct frame frame;
    while (takes_frames(c)) {
        enum frame_result result = frame_parse(c->in + at, c->in_size - at, payload_limit(c), &frame, &used);
        if (result == FRAME_PARTIAL) break;
        if (result == FRAME_BAD) return false;
        take_frame(c, frame);
        at += used;
    }
    if (c->phase == P_CLOSING || at == c->in_size) {
        input_free(c);
    } else if (at > 0) {
        memmove(c->in, c->in + at, c->in_size - at);
        c->in_size -= at;
    }
    return true;
}

/* Reads what has come and deals with it. False when the connection is over. */
static bool pump_in(struct connection *c) {
    if (c->phase == P_CLOSING || c->phase == P_LINGERING) {
        static uint8_t ignored[READ_BYTES];
        ssize_t size = recv(c->fd, ignored, sizeof ignored, 0);
        return size > 0 || (size < 0 && errno == EAGAIN);
    }
    if (!make_room(c)) {
        struct failure f;
        fail(&f, E_BUSY, "the requests that are coming in are too large together");
        answer_error(c, &f);
        input_free(c);
        return true;
    }
    ssize_t size = recv(c->fd, c->in + c->in_size, c->in_room - c->in_size, 0);
    if (size < 0) return errno == EAGAIN;
    if (size == 0) return false;
    c->in_size += (size_t)size;
    return take_frames(c);
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
    c->phase = P_CLOSING;
}

static void put_file(struct connection *c) {
    static uint8_t bytes[FRAME_CHUNK];
    /* One byte beyond the limit is asked for: a file can grow, and those of /proc have no size. */
    size_t wanted = c->file_left < sizeof bytes ? c->file_left + 1 : sizeof bytes;
    ssize_t size = read(c->file, bytes, wanted);
    struct failure f;
    if (size < 0) {
        fail(&f, E_FILE, "the file cannot be read: %s", strerror(errno));
        answer_error(c, &f);
    } else if ((uint64_t)size > c->file_left) {
        fail(&f, E_TOO_LARGE, "the file is larger than the limit");
        answer_error(c, &f);
    } else if (size > 0) {
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

/*
 * Sends the answer. After its end the host is waited for: a socket that is closed with bytes unread is reset, and a reset
 * can overtake the answer. False when the connection is over.
 */
static bool pump_out(struct connection *c) {
    for (int frames = 0; c->phase != P_LINGERING && frames < FRAMES_IN_A_ROW;) {
        if (c->out_at == c->out_size) {
            if (c->phase == P_CLOSING) {
                let_go(c);
                shutdown(c->fd, SHUT_WR);
                c->phase = P_LINGERING;
                c->since_ms = now_ms();
                return true;
            }
            refill(c);
            frames++;
            if (c->out_size == 0) return true;
        }
        ssize_t size = send(c->fd, c->out + c->out_at, c->out_size - c->out_at, MSG_NOSIGNAL);
        if (size < 0) return errno == EAGAIN;
        c->out_at += (size_t)size;
    }
    return true;
}

static void over(struct connection *c) {
    bool change = c->change_mac, off = c->power_off;
    uint8_t mac[6];
    memcpy(mac, c->mac, sizeof mac);
    drop(c);
    if (change) set_mac(mac);
    if (off) power_off();
}

/* A free place: an empty one, else that of the stranger who has said nothing for the longest time. */
static struct connection *place(void) {
    struct connection *oldest = NULL;
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        struct connection *c = &connections[i];
        if (c->phase == P_FREE) return c;
        if (c->phase == P_HELLO && (!oldest || c->since_ms < oldest->since_ms)) oldest = c;
    }
    if (oldest) drop(oldest);
    return oldest;
}

static void take_connections(int listener) {
    int fd, yes = 1;
    for (int i = 0; i < ACCEPTS_IN_A_ROW && (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0; i++) {
        struct connection *c = place();
        if (!c) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        /* Not its output, which is large and only read where it was written. */
        memset(c, 0, offsetof(struct connection, out));
        memset((uint8_t *)c + offsetof(struct connection, out_size), 0, sizeof *c - offsetof(struct connection, out_size));
        c->phase = P_HELLO;
        c->fd = fd;
        c->since_ms = now_ms();
        c->file = c->writing.fd = -1;
    }
}

static void reap(int signals) {
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGTERM && !in_guest()) exit(0);
    }
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) exec_reaped(pid, status);
}

static short wants(struct connection *c) {
    bool more = c->out_at < c->out_size || c->phase == P_READING || c->phase == P_CLOSING ||
                (c->phase == P_EXEC && (c->sent_out < c->exec->out.kept || c->sent_err < c->exec->err.kept || c->exec->reported));
    bool in = takes_frames(c) || c->phase == P_CLOSING || c->phase == P_LINGERING;
    return (short)((in ? POLLIN : 0) | (more ? POLLOUT : 0));
}

/* Ms until the connection has waited too long, or -1 when it may wait. */
static int time_left(const struct connection *c, uint64_t now) {
    if (c->phase != P_HELLO && c->phase != P_LINGERING) return -1;
    uint64_t end = c->since_ms + (c->phase == P_HELLO ? HELLO_LIMIT_MS : LINGER_MS);
    return end > now ? (int)(end - now) : 0;
}

static int earlier(int a, int b) {
    if (a < 0) return b;
    return b < 0 || a < b ? a : b;
}

/* Who is asked for by each entry of the poll set. */
struct source {
    enum { S_OTHER, S_CONNECTION, S_OUTPUT, S_STDIN, S_ORPHAN } kind;
    struct connection *connection;
    struct exec *exec;
    struct stream *stream;
    int *orphan;
};

enum { SOURCES_MAX = 2 + MAX_CONNECTIONS + 3 * MAX_EXECS + MAX_ORPHANS };
static struct pollfd set[SOURCES_MAX];
static struct source sources[SOURCES_MAX];
static nfds_t source_count;

static void watch(int fd, short events, struct source source) {
    set[source_count] = (struct pollfd){.fd = fd, .events = events};
    sources[source_count++] = source;
}

/* Builds the poll set anew. The listener is its first entry and the signals its second. Returns the next deadline in ms, or -1. */
static int watch_all(int listener, int signals) {
    int wait_ms = -1;
    uint64_t now = now_ms();
    source_count = 0;
    watch(listener, POLLIN, (struct source){0});
    watch(signals, POLLIN, (struct source){0});
    for (int i = 0; i < MAX_EXECS; i++) {
        struct exec *e = &execs[i];
        if (!e->used) continue;
        if (e->out.fd >= 0) watch(e->out.fd, POLLIN, (struct source){.kind = S_OUTPUT, .stream = &e->out});
        if (e->err.fd >= 0) watch(e->err.fd, POLLIN, (struct source){.kind = S_OUTPUT, .stream = &e->err});
        if (e->stdin_fd >= 0 && e->stdin_size > 0) watch(e->stdin_fd, POLLOUT, (struct source){.kind = S_STDIN, .exec = e});
    }
    for (int i = 0; i < MAX_ORPHANS; i++)
        if (orphans[i] >= 0) watch(orphans[i], POLLIN, (struct source){.kind = S_ORPHAN, .orphan = &orphans[i]});
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        struct connection *c = &connections[i];
        if (c->phase == P_FREE) continue;
        wait_ms = earlier(wait_ms, time_left(c, now));
        watch(c->fd, wants(c), (struct source){.kind = S_CONNECTION, .connection = c});
    }
    return wait_ms;
}

static void serve_connection(struct connection *c, short events) {
    bool alive = true;
    if (events & (POLLIN | POLLHUP | POLLERR)) alive = pump_in(c);
    /* Frames that waited until the program took its input. */
    else if (c->in_size > 0 && takes_frames(c)) alive = take_frames(c);
    if (alive) alive = pump_out(c);
    /* Its time may have passed while others were served, with what it has sent since the last look unread. */
    if (alive && time_left(c, now_ms()) == 0) alive = pump_in(c) && pump_out(c) && time_left(c, now_ms()) != 0;
    if (!alive) over(c);
}

void serve(int listener, const uint8_t token[TOKEN_BYTES]) {
    memcpy(current_token, token, TOKEN_BYTES);
    signal(SIGPIPE, SIG_IGN);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    if (in_guest()) sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    for (;;) {
        int wait_ms = exec_tick();
        wait_ms = earlier(wait_ms, watch_all(listener, signals));
        if (poll(set, source_count, wait_ms) < 0) continue;
        if (set[1].revents) reap(signals);
        /* Programs before connections: what has come of output and ends is sent in the same round. */
        for (nfds_t i = 2; i < source_count; i++) {
            if (!set[i].revents) continue;
            if (sources[i].kind == S_OUTPUT) exec_pump(sources[i].stream);
            if (sources[i].kind == S_STDIN) exec_pump_stdin(sources[i].exec);
            if (sources[i].kind == S_ORPHAN) orphan_drain(sources[i].orphan);
        }
        exec_tick();
        for (nfds_t i = 2; i < source_count; i++)
            if (sources[i].kind == S_CONNECTION) serve_connection(sources[i].connection, set[i].revents);
        if (set[0].revents) take_connections(listener);
    }
}
