/* Steps about what is known of files: owners, modes, times, attributes. */
#define _GNU_SOURCE
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define KEPT 8
#define NAME_MAX_KEPT 16

static struct {
  char name[NAME_MAX_KEPT];
  struct stat stat;
} kept[KEPT];
static int kept_count;

static const char *type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "file";
    case S_IFDIR: return "directory";
    case S_IFLNK: return "symlink";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    case S_IFBLK: return "block";
    case S_IFCHR: return "character";
    default: return "?";
  }
}

static void say_field(const char *field, const struct stat *stat) {
  if (strcmp(field, "type") == 0) say("%s", type_of(stat->st_mode));
  else if (strcmp(field, "mode") == 0) say("%04o", stat->st_mode & 07777);
  else if (strcmp(field, "links") == 0) say("%lu", (unsigned long)stat->st_nlink);
  else if (strcmp(field, "uid") == 0) say("%u", stat->st_uid);
  else if (strcmp(field, "gid") == 0) say("%u", stat->st_gid);
  else if (strcmp(field, "size") == 0) say("%lld", (long long)stat->st_size);
  else if (strcmp(field, "rdev") == 0) say("%u:%u", major(stat->st_rdev), minor(stat->st_rdev));
  else if (strcmp(field, "used") == 0) say("%s", stat->st_blocks > 0 ? "some" : "none");
  else if (strcmp(field, "atime") == 0) say("%lld.%09ld", (long long)stat->st_atim.tv_sec, stat->st_atim.tv_nsec);
  else if (strcmp(field, "mtime") == 0) say("%lld.%09ld", (long long)stat->st_mtim.tv_sec, stat->st_mtim.tv_nsec);
  else broken(field);
}

static void say_stat(int result, const struct stat *stat, const char *fields) {
  if (result < 0) {
    say_result(result);
    return;
  }
  char copy[128];
  if (strlen(fields) >= sizeof copy) broken("too many fields");
  strcpy(copy, fields);
  const char *between = "";
  for (char *field = strtok(copy, ","); field != NULL; field = strtok(NULL, ",")) {
    say("%s", between);
    say_field(field, stat);
    between = " ";
  }
}

static void step_stat(const struct line *line) {
  struct stat found;
  say_stat(stat(line->words[1], &found), &found, line->words[2]);
}

static void step_lstat(const struct line *line) {
  struct stat found;
  say_stat(lstat(line->words[1], &found), &found, line->words[2]);
}

static void step_fstat(const struct line *line) {
  struct stat found;
  say_stat(fstat(slot_of(line->words[1]), &found), &found, line->words[2]);
}

/* same PATH PATH: whether they are one file. */
static void step_same(const struct line *line) {
  struct stat one, other;
  if (lstat(line->words[1], &one) < 0 || lstat(line->words[2], &other) < 0) say_result(-1);
  else say(one.st_dev == other.st_dev && one.st_ino == other.st_ino ? "same" : "different");
}

static void step_chmod(const struct line *line) { say_result(chmod(line->words[1], octal(line->words[2]))); }

static void step_fchmod(const struct line *line) {
  say_result(fchmod(slot_of(line->words[1]), octal(line->words[2])));
}

static void step_chown(const struct line *line) {
  say_result(chown(line->words[1], (uid_t)number(line->words[2]), (gid_t)number(line->words[3])));
}

static void step_lchown(const struct line *line) {
  say_result(lchown(line->words[1], (uid_t)number(line->words[2]), (gid_t)number(line->words[3])));
}

static void step_fchown(const struct line *line) {
  say_result(fchown(slot_of(line->words[1]), (uid_t)number(line->words[2]), (gid_t)number(line->words[3])));
}

static void step_umask(const struct line *line) {
  umask(octal(line->words[1]));
  say_result(0);
}

/* access PATH WHAT: as the effective user. */
static void step_access(const struct line *line) {
  static const struct flag flags[] = {{"f", F_OK}, {"r", R_OK}, {"w", W_OK}, {"x", X_OK}, {NULL, 0}};
  say_result(faccessat(AT_FDCWD, line->words[1], (int)flags_of(line->words[2], flags), AT_EACCESS));
}

static struct timespec time_of(const char *word) {
  struct timespec time = {0};
  if (strcmp(word, "now") == 0) time.tv_nsec = UTIME_NOW;
  else if (strcmp(word, "omit") == 0) time.tv_nsec = UTIME_OMIT;
  else {
    char *end;
    time.tv_sec = strtoll(word, &end, 10);
    if (*end == '.') time.tv_nsec = strtol(end + 1, &end, 10);
    if (*end != 0) broken("a time is SECONDS.NANOSECONDS");
  }
  return time;
}

/* utimes PATH ACCESS MODIFY */
static void step_utimes(const struct line *line) {
  const struct timespec times[] = {time_of(line->words[2]), time_of(line->words[3])};
  say_result(utimensat(AT_FDCWD, line->words[1], times, 0));
}

static void step_lutimes(const struct line *line) {
  const struct timespec times[] = {time_of(line->words[2]), time_of(line->words[3])};
  say_result(utimensat(AT_FDCWD, line->words[1], times, AT_SYMLINK_NOFOLLOW));
}

static void step_futimes(const struct line *line) {
  const struct timespec times[] = {time_of(line->words[2]), time_of(line->words[3])};
  say_result(futimens(slot_of(line->words[1]), times));
}

/* keep NAME PATH: its times, for `moved`, after the clock of file systems has gone on. */
static void step_keep(const struct line *line) {
  if (strlen(line->words[1]) >= NAME_MAX_KEPT) broken("the name is too long");
  int at = 0;
  while (at < kept_count && strcmp(kept[at].name, line->words[1]) != 0) at++;
  if (at == KEPT) broken("too much is kept");
  strcpy(kept[at].name, line->words[1]);
  if (at == kept_count) kept_count++;
  int result = lstat(line->words[2], &kept[at].stat);
  const struct timespec tick = {.tv_nsec = 12000000};
  nanosleep(&tick, NULL);
  say_result(result);
}

static int later(const struct timespec *one, const struct timespec *other) {
  return one->tv_sec != other->tv_sec ? one->tv_sec > other->tv_sec : one->tv_nsec > other->tv_nsec;
}

static void say_moved(const char *letter, const struct timespec *now, const struct timespec *then) {
  if (later(now, then)) say("%s", letter);
  else if (later(then, now)) say("%s-back", letter);
}

/* moved NAME PATH: which of its times are later than they were: a, m, c. */
static void step_moved(const struct line *line) {
  struct stat now;
  int at = 0;
  while (at < kept_count && strcmp(kept[at].name, line->words[1]) != 0) at++;
  if (at == kept_count) broken("nothing of that name is kept");
  if (lstat(line->words[2], &now) < 0) {
    say_result(-1);
    return;
  }
  say("times:");
  say_moved("a", &now.st_atim, &kept[at].stat.st_atim);
  say_moved("m", &now.st_mtim, &kept[at].stat.st_mtim);
  say_moved("c", &now.st_ctim, &kept[at].stat.st_ctim);
}

static void step_name_max(const struct line *line) {
  struct statvfs usage;
  if (statvfs(line->words[1], &usage) < 0) say_result(-1);
  else say("%lu", usage.f_namemax);
}

/* set_extended PATH NAME VALUE [create|replace] */
static void step_set_extended(const struct line *line) {
  static const struct flag flags[] = {{"any", 0}, {"create", XATTR_CREATE}, {"replace", XATTR_REPLACE}, {NULL, 0}};
  const char *value = line->words[3];
  int how = (int)flag_of(word_or(line, 4, "any"), flags);
  say_result(lsetxattr(line->words[1], line->words[2], value, strlen(value), how));
}

/* get_extended PATH NAME [ROOM] */
static void step_get_extended(const struct line *line) {
  unsigned char value[65536];
  size_t room = (size_t)number(word_or(line, 3, "65536"));
  ssize_t length = lgetxattr(line->words[1], line->words[2], value, room);
  if (length < 0) say_result(length);
  else {
    say("%zd:", length);
    if (room > 0) say_bytes(value, (size_t)length);
  }
}

static int by_text(const void *one, const void *other) {
  return strcmp(*(char *const *)one, *(char *const *)other);
}

static void step_list_extended(const struct line *line) {
  char names[65536], *sorted[64];
  ssize_t length = llistxattr(line->words[1], names, sizeof names);
  if (length < 0) {
    say_result(length);
    return;
  }
  size_t count = 0;
  for (char *at = names; at < names + length && count < 64; at += strlen(at) + 1) sorted[count++] = at;
  qsort(sorted, count, sizeof *sorted, by_text);
  say("names:");
  for (size_t index = 0; index < count; index++) say(" %s", sorted[index]);
}

static void step_remove_extended(const struct line *line) {
  say_result(lremovexattr(line->words[1], line->words[2]));
}

const struct step fact_steps[] = {
    {"stat", 3, step_stat},
    {"lstat", 3, step_lstat},
    {"fstat", 3, step_fstat},
    {"same", 3, step_same},
    {"chmod", 3, step_chmod},
    {"fchmod", 3, step_fchmod},
    {"chown", 4, step_chown},
    {"lchown", 4, step_lchown},
    {"fchown", 4, step_fchown},
    {"umask", 2, step_umask},
    {"access", 3, step_access},
    {"utimes", 4, step_utimes},
    {"lutimes", 4, step_lutimes},
    {"futimes", 4, step_futimes},
    {"keep", 3, step_keep},
    {"moved", 3, step_moved},
    {"name_max", 2, step_name_max},
    {"set_extended", 4, step_set_extended},
    {"get_extended", 3, step_get_extended},
    {"list_extended", 2, step_list_extended},
    {"remove_extended", 3, step_remove_extended},
    {NULL, 0, NULL},
};
