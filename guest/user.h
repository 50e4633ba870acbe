/* Users of the guest, from the text of its /etc/passwd and /etc/group: pure functions. */
#ifndef USER_H
#define USER_H

#include <stdbool.h>
#include <sys/types.h>

enum { GROUPS_MAX = 64, HOME_MAX = 4096, NAME_MAX_BYTES = 256 };

struct user {
  char name[NAME_MAX_BYTES + 1];
  uid_t uid;
  gid_t gid;
  char home[HOME_MAX + 1];
  size_t group_count;
  gid_t groups[GROUPS_MAX];
};

/*
 * Reads one line of passwd(5), without its newline. True when it is the user that is called or numbered wanted; user is
 * filled in then. A malformed line is nobody's.
 */
bool user_from_passwd_line(char *line, const char *wanted, struct user *user);

/* Reads one line of group(5) and adds the group when the user is among its members. Groups beyond GROUPS_MAX are left out. */
void user_group_line(char *line, struct user *user);

#endif
