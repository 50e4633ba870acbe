/* Users and groups of the root file system, from /etc/passwd and /etc/group: a static program has no other way. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

/* The guest may have put a pipe there, which must not stop PID 1. */
static FILE *open_list(const char *path) {
    struct stat s;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return NULL;
    FILE *list = !fstat(file, &s) && S_ISREG(s.st_mode) ? fdopen(file, "r") : NULL;
    if (!list) close(file);
    return list;
}

/* The n-th field of a line whose fields are parted by colons. */
static bool field(const char *line, int n, char *out, size_t size) {
    for (; n > 0; n--) {
        line = strchr(line, ':');
        if (!line) return false;
        line++;
    }
    size_t length = strcspn(line, ":\n");
    if (length >= size) return false;
    memcpy(out, line, length);
    out[length] = 0;
    return true;
}

static bool in_list(const char *list, const char *name) {
    size_t length = strlen(name);
    for (const char *at = list; *at;) {
        size_t item = strcspn(at, ",");
        if (item == length && !memcmp(at, name, length)) return true;
        at += item;
        if (*at == ',') at++;
    }
    return false;
}

static void find_groups(struct user *u) {
    char line[4096], number[16], members[3072];
    u->groups[0] = u->gid;
    u->group_count = 1;
    FILE *file = open_list("/etc/group");
    while (file && fgets(line, sizeof line, file)) {
        if (!field(line, 2, number, sizeof number) || !field(line, 3, members, sizeof members)) continue;
        gid_t gid = (gid_t)strtoul(number, NULL, 10);
        if (gid == u->gid || u->group_count == sizeof u->groups / sizeof *u->groups || !in_list(members, u->name)) continue;
        u->groups[u->group_count++] = gid;
    }
    if (file) fclose(file);
}

bool find_user(struct span wanted, struct user *u) {
    char line[1024], name[64], number[16], uid[16], gid[16];
    if (wanted.size == 0) wanted = (struct span){(const uint8_t *)"root", 4};
    if (wanted.size >= sizeof name) return false;
    memcpy(name, wanted.bytes, wanted.size);
    name[wanted.size] = 0;
    char *end;
    unsigned long asked = strtoul(name, &end, 10);
    bool by_number = *end == 0;
    snprintf(number, sizeof number, "%lu", asked);
    *u = (struct user){0};
    bool found = false;
    FILE *file = open_list("/etc/passwd");
    while (file && !found && fgets(line, sizeof line, file)) {
        if (!field(line, 0, u->name, sizeof u->name) || !field(line, 2, uid, sizeof uid) || !field(line, 3, gid, sizeof gid)) continue;
        found = strcmp(u->name, name) == 0 || (by_number && strcmp(uid, number) == 0);
        if (!found) continue;
        u->uid = (uid_t)strtoul(uid, NULL, 10);
        u->gid = (gid_t)strtoul(gid, NULL, 10);
        if (!field(line, 5, u->home, sizeof u->home)) u->home[0] = 0;
        if (!field(line, 6, u->shell, sizeof u->shell)) u->shell[0] = 0;
    }
    if (file) fclose(file);
    /* A number needs no entry, and root is there in every system. */
    if (!found && by_number && asked < 0xffffffffUL) {
        *u = (struct user){.uid = (uid_t)asked, .gid = (gid_t)asked};
        snprintf(u->name, sizeof u->name, "%s", number);
        found = true;
    } else if (!found && !strcmp(name, "root")) {
        *u = (struct user){.name = "root", .home = "/root"};
        found = true;
    }
    if (found) find_groups(u);
    return found;
}
