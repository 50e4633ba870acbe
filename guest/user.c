#include "user.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PASSWD_FIELDS = 7, GROUP_FIELDS = 4 };

/* Splits at ':' in place. Returns the number of fields, at most max. */
static size_t split(char *line, char **fields, size_t max) {
  size_t count = 0;
  while (count < max) {
    fields[count++] = line;
    char *colon = strchr(line, ':');
    if (!colon) break;
    *colon = 0;
    line = colon + 1;
  }
  return count;
}

static bool number(const char *text, uint32_t *value) {
  if (!*text || strlen(text) > 10 || text[strspn(text, "0123456789")]) return false;
  unsigned long long parsed = strtoull(text, NULL, 10);
  /* The highest value means "unchanged" to setuid and its kin. */
  if (parsed >= UINT32_MAX) return false;
  *value = (uint32_t)parsed;
  return true;
}

bool user_from_passwd_line(char *line, const char *wanted, struct user *user) {
  char *fields[PASSWD_FIELDS];
  uint32_t uid, gid, wanted_uid;
  if (split(line, fields, PASSWD_FIELDS) != PASSWD_FIELDS || !*fields[0]) return false;
  if (!number(fields[2], &uid) || !number(fields[3], &gid)) return false;
  if (strcmp(fields[0], wanted) && !(number(wanted, &wanted_uid) && wanted_uid == uid)) return false;
  if (strlen(fields[0]) > NAME_MAX_BYTES || strlen(fields[5]) > HOME_MAX) return false;
  strcpy(user->name, fields[0]);
  strcpy(user->home, *fields[5] ? fields[5] : "/");
  user->uid = uid;
  user->gid = gid;
  user->group_count = 1;
  user->groups[0] = gid;
  return true;
}

void user_group_line(char *line, struct user *user) {
  char *fields[GROUP_FIELDS];
  uint32_t gid;
  if (split(line, fields, GROUP_FIELDS) != GROUP_FIELDS || !number(fields[2], &gid)) return;
  if (gid == user->gid || user->group_count == GROUPS_MAX) return;
  char *rest = fields[3], *member;
  while ((member = strsep(&rest, ",")))
    if (!strcmp(member, user->name)) {
      user->groups[user->group_count++] = gid;
      return;
    }
}
