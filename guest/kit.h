/* What the parts of the guest kit know of each other. */
#ifndef DORMOUSE_KIT_H
#define DORMOUSE_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "frame.h"

#define KIT_VERSION "1"

enum {
    KIT_PORT = 7780,
    MAX_CONNECTIONS = 128,
    MAX_EXECS = 128,
    EXEC_ID_MAX = 64,
    /* Most that is kept of each output stream, whatever the request says. */
    OUTPUT_MAX = 1024 * 1024,
    /* A program that has ended is kept this long for who attaches again. */
    KEEP_ENDED_MS = 5 * 60 * 1000,
    /* A background process may hold the pipes of a program that has ended; its output is waited for this long. */
    PIPE_GRACE_MS = 100,
    /* The program's input is taken from the host while less than this waits for it. */
    STDIN_PENDING = 256 * 1024,
    MAX_ORPHANS = 256,
};

/* An error for the host: a code of the protocol and a text for a person. */
struct failure {
    enum error_code code;
    char text[200];
};

bool fail(struct failure *f, enum error_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

uint64_t now_ms(void);

/* boot.c: from the initramfs to the sandbox's own root. Ends the machine when that is impossible. */
void boot(uint8_t token[TOKEN_BYTES]);
/* True when boot() made this machine ours. Clock, host name, disk, network and power are touched in no other case. */
bool in_guest(void);
/* Grows the root file system to its device, which has, or will have in a moment, at least that size. */
bool grow_root(uint64_t least_bytes, struct failure *f);
void power_off(void) __attribute__((noreturn));

/* identity.c: what makes this guest different from every other one. */
struct identity {
    uint64_t time_ns;
    struct span entropy, hostname, machine_id, mac, next_token;
};
bool parse_identity(struct frame request, struct identity *out);
bool take_identity(const struct identity *identity, struct failure *f);
void set_mac(const uint8_t mac[6]);

/* users.c */
struct user {
    uid_t uid;
    gid_t gid;
    char name[64], home[256], shell[256];
    gid_t groups[64];
    size_t group_count;
};
bool find_user(struct span name, struct user *out);

/* exec.c: programs belong to the kit, not to a connection. */
struct stream {
    int fd;
    uint8_t *bytes;
    size_t kept, limit;
    uint64_t total;
};
struct exec {
    bool used, ended, reported, timed_out;
    char id[EXEC_ID_MAX + 1];
    pid_t pid;
    int status;
    uint64_t started_ms, deadline_ms, ended_ms;
    struct stream out, err;
    int stdin_fd;
    /* Input that the program has not taken yet. */
    uint8_t *stdin_bytes;
    size_t stdin_size;
    /* How much of the input has come from the host, and whether that is all of it. */
    uint64_t stdin_received;
    bool stdin_ended;
    /* Connections that watch it; it is not forgotten while there is one. */
    int watchers;
};
extern struct exec execs[MAX_EXECS];
struct exec *exec_find(const char *id);
struct exec *exec_start(const char *id, struct reader *request, struct failure *f);
/* True when the program has little input waiting; more is only taken from the host then. */
bool exec_wants_stdin(const struct exec *e);
/* Takes the part of the input that starts at `offset`; what came before is passed over. False when bytes would be missing. */
bool exec_stdin(struct exec *e, uint64_t offset, struct span bytes);
void exec_stdin_end(struct exec *e);
void exec_pump_stdin(struct exec *e);
void exec_pump(struct stream *s);
void exec_reaped(pid_t pid, int status);
void exec_kill(struct exec *e, int signal);
/* Kills what is over time and settles what has ended. Returns when it wants to be called again, in ms from now, or -1. */
int exec_tick(void);
/*
 * Pipes of programs that have ended, held open by what they left behind: read and thrown away until they are closed, so
 * that a background process is neither held up nor killed by SIGPIPE. -1: a free place.
 */
extern int orphans[MAX_ORPHANS];
void orphan_drain(int *fd);

/* files.c */
/* Opens a regular file that is not larger than `limit` bytes. -1 when it is not so. */
int file_open_read(struct span path, uint64_t limit, struct failure *f);
struct writing {
    int fd;
    char path[4096], temporary[4160];
};
bool file_write_begin(struct reader *request, struct writing *w, struct failure *f);
bool file_write_more(struct writing *w, struct span bytes, struct failure *f);
bool file_write_end(struct writing *w, struct failure *f);
void file_write_abort(struct writing *w);

/* server.c: serves until the machine ends. */
int listen_on(const char *address, int port, int *bound_port);
void serve(int listener, const uint8_t token[TOKEN_BYTES]) __attribute__((noreturn));

#endif
