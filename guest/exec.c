/*
 * Programs. They belong to the kit: a connection may go and another one come back for the output. Each has a session of
 * its own, so that all it started can be killed with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

enum { ARGUMENTS_MAX = 4096, ENVIRONMENT_MAX = 320, READ_BYTES = 64 * 1024 };

struct exec execs[MAX_EXECS];
int orphans[MAX_ORPHANS] = {[0 ... MAX_ORPHANS - 1] = -1};

struct exec *exec_find(const char *id) {
    for (int i = 0; i < MAX_EXECS; i++)
        if (execs[i].used && !strcmp(execs[i].id, id)) return &execs[i];
    return NULL;
}

static void forget(struct exec *e) {
    if (e->out.fd >= 0) close(e->out.fd);
    if (e->err.fd >= 0) close(e->err.fd);
    if (e->stdin_fd >= 0) close(e->stdin_fd);
    free(e->out.bytes);
    free(e->err.bytes);
    free(e->stdin_bytes);
    *e = (struct exec){0};
}

/* A free place: an empty one, else that of the program which ended first and which nobody watches. */
static struct exec *place(void) {
    struct exec *oldest = NULL;
    for (int i = 0; i < MAX_EXECS; i++) {
        struct exec *e = &execs[i];
        if (!e->used) return e;
        if (e->reported && e->watchers == 0 && (!oldest || e->ended_ms < oldest->ended_ms)) oldest = e;
    }
    if (oldest) forget(oldest);
    return oldest;
}

/* Copies a value of the request as a C string. */
static char *text(struct span s) {
    char *out = memchr(s.bytes ? s.bytes : (const uint8_t *)"", 0, s.size) ? NULL : malloc(s.size + 1);
    if (!out) return NULL;
    memcpy(out, s.bytes ? s.bytes : (const uint8_t *)"", s.size);
    out[s.size] = 0;
    return out;
}

struct launch {
    char *argv[ARGUMENTS_MAX + 1], *environment[ENVIRONMENT_MAX + 8], *cwd;
    int argc, envc;
    struct user user;
    char defaults[4][320];
};

static void launch_free(struct launch *l) {
    for (int i = 0; i < l->argc; i++) free(l->argv[i]);
    for (int i = 0; i < l->envc; i++) free(l->environment[i]);
    free(l->cwd);
    free(l);
}

static bool read_list(struct reader *r, char **out, int *count, int max) {
    uint16_t wanted = read_u16(r);
    if (wanted > max) return false;
    for (uint16_t i = 0; i < wanted && !r->bad; i++) {
        struct span s = read_string(r);
        if (r->bad) return false;
        char *value = text(s);
        if (!value) return false;
        out[(*count)++] = value;
    }
    return !r->bad;
}

static bool has_variable(const struct launch *l, const char *name) {
    size_t length = strlen(name);
    for (int i = 0; i < l->envc; i++)
        if (!strncmp(l->environment[i], name, length) && l->environment[i][length] == '=') return true;
    return false;
}

/* The variables that every program expects, unless the request says otherwise. They stand behind those of the request. */
static void add_defaults(struct launch *l) {
    const char *names[4] = {"PATH", "HOME", "USER", "LOGNAME"};
    const char *values[4] = {"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *l->user.home ? l->user.home : "/", l->user.name, l->user.name};
    int at = l->envc;
    for (int i = 0; i < 4; i++) {
        if (has_variable(l, names[i])) continue;
        snprintf(l->defaults[i], sizeof l->defaults[i], "%s=%s", names[i], values[i]);
        l->environment[at++] = l->defaults[i];
    }
    l->environment[at] = NULL;
}

static bool read_launch(struct reader *r, struct launch *l, struct failure *f) {
    struct span cwd = read_string(r), user = read_string(r);
    l->cwd = text(cwd);
    if (!read_list(r, l->argv, &l->argc, ARGUMENTS_MAX) || !read_list(r, l->environment, &l->envc, ENVIRONMENT_MAX) || !reader_done(r) || !l->cwd || l->argc == 0) {
        return fail(f, E_MALFORMED, "the request to run a program is not whole");
    }
    if (!find_user(user, &l->user)) return fail(f, E_UNKNOWN_USER, "there is no user %.*s", (int)(user.size > 64 ? 64 : user.size), (const char *)user.bytes);
    add_defaults(l);
    return true;
}

/* What went wrong between fork and exec, on its way back over a pipe that a successful exec closes. */
struct child_failure {
    enum error_code code;
    int error;
};

/* execve(2) answers ENOENT for a missing interpreter too. This stands for that case, which the program's file tells apart. */
enum { NO_INTERPRETER = 10000 };

static void give_up(int pipe, enum error_code code) {
    struct child_failure failure = {code, errno};
    if (write(pipe, &failure, sizeof failure) < 0) _exit(126);
    _exit(127);
}

static void try_program(const char *file, struct launch *l) {
    execve(file, l->argv, l->environment);
    if (errno != ENOENT) return;
    errno = access(file, F_OK) ? ENOENT : NO_INTERPRETER;
}

/* execvp would take PATH from our own environment; this takes the program's. */
static void execute(struct launch *l) {
    char **environment = l->environment;
    if (!*l->argv[0]) {
        errno = ENOENT;
        return;
    }
    if (strchr(l->argv[0], '/')) {
        try_program(l->argv[0], l);
        return;
    }
    const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (char **v = environment; *v; v++)
        if (!strncmp(*v, "PATH=", 5)) path = *v + 5;
    int worst = ENOENT;
    char file[4096];
    for (const char *at = path; *at;) {
        int length = (int)strcspn(at, ":");
        snprintf(file, sizeof file, "%.*s/%s", length, at, l->argv[0]);
        try_program(file, l);
        if (errno != ENOENT && errno != ENOTDIR) worst = errno;
        at += length;
        if (*at == ':') at++;
    }
    errno = worst;
}

static void run_child(struct launch *l, int in, int out, int err, int report) {
    setsid();
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (geteuid() == 0 && (setgroups(l->user.group_count, l->user.groups) || setgid(l->user.gid) || setuid(l->user.uid))) give_up(report, E_INTERNAL);
    if (*l->cwd) {
        if (chdir(l->cwd)) give_up(report, E_BAD_CWD);
    } else if (!*l->user.home || chdir(l->user.home)) {
        if (chdir("/")) give_up(report, E_BAD_CWD);
    }
    execute(l);
    give_up(report, errno == ENOENT || errno == ENOTDIR ? E_NOT_FOUND : E_NOT_EXECUTABLE);
}

static bool make_pipes(int pipes[4][2]) {
    for (int i = 0; i < 4; i++) pipes[i][0] = pipes[i][1] = -1;
    for (int i = 0; i < 4; i++)
        if (pipe2(pipes[i], O_CLOEXEC)) return false;
    return true;
}

static void close_pipes(int pipes[4][2]) {
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++)
            if (pipes[i][j] >= 0) close(pipes[i][j]);
}

struct exec *exec_start(const char *id, struct reader *request, struct failure *f) {
    uint32_t timeout_ms = read_u32(request), limit = read_u32(request);
    struct launch *l = calloc(1, sizeof *l);
    struct exec *e = place();
    int pipes[4][2];
    if (!l || !e) {
        free(l);
        fail(f, E_BUSY, "%d programs run already", MAX_EXECS);
        return NULL;
    }
    if (!read_launch(request, l, f)) {
        launch_free(l);
        return NULL;
    }
    if (!make_pipes(pipes)) {
        fail(f, E_INTERNAL, "no pipes: %s", strerror(errno));
        close_pipes(pipes);
        launch_free(l);
        return NULL;
    }
    pid_t pid = fork();
    if (pid == 0) run_child(l, pipes[0][0], pipes[1][1], pipes[2][1], pipes[3][1]);
    close(pipes[3][1]);
    pipes[3][1] = -1;
    struct child_failure problem = {E_INTERNAL, errno};
    /* Ends at once: the pipe is closed by the exec, or written to before. */
    bool failed = pid < 0 || read(pipes[3][0], &problem, sizeof problem) == (ssize_t)sizeof problem;
    if (failed) {
        fail(f, problem.code, "%.100s: %s", problem.code == E_BAD_CWD ? l->cwd : l->argv[0],
             problem.error == NO_INTERPRETER ? "the interpreter that it names does not exist" : strerror(problem.error));
        close_pipes(pipes);
        launch_free(l);
        return NULL;
    }
    launch_free(l);
    if (limit > OUTPUT_MAX) limit = OUTPUT_MAX;
    *e = (struct exec){
        .used = true, .pid = pid, .started_ms = now_ms(), .stdin_fd = pipes[0][1],
        .out = {.fd = pipes[1][0], .limit = limit}, .err = {.fd = pipes[2][0], .limit = limit},
    };
    e->deadline_ms = timeout_ms ? e->started_ms + timeout_ms : 0;
    snprintf(e->id, sizeof e->id, "%s", id);
    fcntl(e->stdin_fd, F_SETFL, O_NONBLOCK);
    fcntl(e->out.fd, F_SETFL, O_NONBLOCK);
    fcntl(e->err.fd, F_SETFL, O_NONBLOCK);
    close(pipes[0][0]);
    close(pipes[1][1]);
    close(pipes[2][1]);
    close(pipes[3][0]);
    return e;
}

bool exec_wants_stdin(const struct exec *e) { return e->stdin_size < STDIN_PENDING; }

bool exec_stdin(struct exec *e, uint64_t offset, struct span bytes) {
    if (offset > e->stdin_received) return false;
    uint64_t known = e->stdin_received - offset;
    if (known >= bytes.size) return true;
    bytes.bytes += known;
    bytes.size -= (size_t)known;
    if (e->stdin_ended) return false;
    if (e->stdin_fd >= 0) {
        uint8_t *grown = realloc(e->stdin_bytes, e->stdin_size + bytes.size);
        if (!grown) return false;
        memcpy(grown + e->stdin_size, bytes.bytes, bytes.size);
        e->stdin_bytes = grown;
        e->stdin_size += bytes.size;
    }
    /* Input for a program that reads no more is counted and thrown away. */
    e->stdin_received += bytes.size;
    exec_pump_stdin(e);
    return true;
}

void exec_stdin_end(struct exec *e) {
    e->stdin_ended = true;
    exec_pump_stdin(e);
}

static void close_stdin(struct exec *e) {
    if (e->stdin_fd >= 0) close(e->stdin_fd);
    e->stdin_fd = -1;
    free(e->stdin_bytes);
    e->stdin_bytes = NULL;
    e->stdin_size = 0;
}

void exec_pump_stdin(struct exec *e) {
    size_t at = 0;
    while (e->stdin_fd >= 0 && at < e->stdin_size) {
        ssize_t written = write(e->stdin_fd, e->stdin_bytes + at, e->stdin_size - at);
        if (written < 0 && errno == EAGAIN) break;
        if (written < 0) close_stdin(e);
        else at += (size_t)written;
    }
    if (at > 0 && e->stdin_size > 0) {
        e->stdin_size -= at;
        memmove(e->stdin_bytes, e->stdin_bytes + at, e->stdin_size);
    }
    if (e->stdin_ended && e->stdin_size == 0) close_stdin(e);
}

/* Reads what is there. The first `limit` bytes are kept, all are counted, and the program is never held up. */
void exec_pump(struct stream *s) {
    static uint8_t bytes[READ_BYTES];
    for (int rounds = 0; s->fd >= 0 && rounds < 16; rounds++) {
        ssize_t size = read(s->fd, bytes, sizeof bytes);
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) {
            close(s->fd);
            s->fd = -1;
            return;
        }
        size_t keep = s->limit - s->kept < (size_t)size ? s->limit - s->kept : (size_t)size;
        uint8_t *grown = keep ? realloc(s->bytes, s->kept + keep) : NULL;
        if (grown) {
            memcpy(grown + s->kept, bytes, keep);
            s->bytes = grown;
            s->kept += keep;
        }
        s->total += (uint64_t)size;
    }
}

void exec_reaped(pid_t pid, int status) {
    for (int i = 0; i < MAX_EXECS; i++) {
        struct exec *e = &execs[i];
        if (!e->used || e->ended || e->pid != pid) continue;
        e->ended = true;
        e->status = status;
        e->ended_ms = now_ms();
    }
}

void exec_kill(struct exec *e, int signal) {
    if (!e->ended) kill(-e->pid, signal);
}

/* Gives up a pipe that somebody still holds open. When there are too many, the one in its place is closed. */
static void orphan(struct stream *s) {
    static size_t next;
    if (s->fd < 0) return;
    size_t at = next;
    for (size_t i = 0; i < MAX_ORPHANS; i++) {
        if (orphans[(next + i) % MAX_ORPHANS] >= 0) continue;
        at = (next + i) % MAX_ORPHANS;
        break;
    }
    if (orphans[at] >= 0) close(orphans[at]);
    orphans[at] = s->fd;
    s->fd = -1;
    next = (at + 1) % MAX_ORPHANS;
}

void orphan_drain(int *fd) {
    static uint8_t bytes[READ_BYTES];
    ssize_t size = read(*fd, bytes, sizeof bytes);
    if (size > 0 || (size < 0 && errno == EAGAIN)) return;
    close(*fd);
    *fd = -1;
}

int exec_tick(void) {
    uint64_t now = now_ms(), next = UINT64_MAX;
    for (int i = 0; i < MAX_EXECS; i++) {
        struct exec *e = &execs[i];
        if (!e->used) continue;
        if (!e->ended) {
            if (e->deadline_ms && !e->timed_out && now >= e->deadline_ms) {
                e->timed_out = true;
                kill(-e->pid, SIGKILL);
            }
            if (e->deadline_ms && !e->timed_out && e->deadline_ms < next) next = e->deadline_ms;
        } else if (!e->reported) {
            bool drained = e->out.fd < 0 && e->err.fd < 0;
            uint64_t until = e->ended_ms + PIPE_GRACE_MS;
            if (drained || now >= until) {
                exec_pump(&e->out);
                exec_pump(&e->err);
                orphan(&e->out);
                orphan(&e->err);
                close_stdin(e);
                e->reported = true;
            } else if (until < next) {
                next = until;
            }
        } else if (e->watchers == 0) {
            if (now >= e->ended_ms + KEEP_ENDED_MS) forget(e);
            else if (e->ended_ms + KEEP_ENDED_MS < next) next = e->ended_ms + KEEP_ENDED_MS;
        }
    }
    if (next == UINT64_MAX) return -1;
    return next <= now ? 0 : (int)(next - now > 60000 ? 60000 : next - now);
}
