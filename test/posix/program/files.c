/* Steps about open files and what is in them. */
#define _GNU_SOURCE
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX (1 << 20)

/* open SLOT PATH FLAGS [MODE] */
static void step_open(const struct line *line) {
  static const struct flag flags[] = {
      {"r", O_RDONLY},         {"w", O_WRONLY},           {"rw", O_RDWR},         {"creat", O_CREAT},
      {"excl", O_EXCL},        {"trunc", O_TRUNC},        {"append", O_APPEND},   {"directory", O_DIRECTORY},
      {"nofollow", O_NOFOLLOW}, {"sync", O_SYNC},         {"path", O_PATH},       {"nonblock", O_NONBLOCK},
      {"tmpfile", O_TMPFILE},  {"direct", O_DIRECT},      {"noatime", O_NOATIME}, {NULL, 0}};
  int wanted = (int)flags_of(line->words[3], flags);
  int fd = open(line->words[2], wanted | O_CLOEXEC, octal(word_or(line, 4, "0")));
  if (fd >= 0) set_slot(line->words[1], fd);
  say_result(fd < 0 ? fd : 0);
}

static void step_close(const struct line *line) {
  say_result(close(slot_of(line->words[1])));
  set_slot(line->words[1], -1);
}

/* create PATH MODE: an empty file. */
static void step_create(const struct line *line) {
  int fd = open(line->words[1], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, octal(line->words[2]));
  if (fd >= 0) close(fd);
  say_result(fd < 0 ? fd : 0);
}

static void say_read(ssize_t length, unsigned char *bytes) {
  if (length < 0) say_result(length);
  else {
    say("%zd:", length);
    say_bytes(bytes, (size_t)length);
  }
  free(bytes);
}

/* read SLOT OFFSET LENGTH; with "-" where the file is at. */
static void step_read(const struct line *line) {
  long long length = number(line->words[3]);
  if (length > READ_MAX) broken("too much to read");
  unsigned char *bytes = malloc((size_t)length + 1);
  int fd = slot_of(line->words[1]);
  const char *offset = line->words[2];
  ssize_t got = offset[0] == '-' ? read(fd, bytes, (size_t)length)
                                 : pread(fd, bytes, (size_t)length, number(offset));
  say_read(got, bytes);
}

/* write SLOT OFFSET TEXT; with "-" where the file is at. */
static void step_write(const struct line *line) {
  int fd = slot_of(line->words[1]);
  const char *offset = line->words[2], *text = line->words[3];
  say_result(offset[0] == '-' ? write(fd, text, strlen(text)) : pwrite(fd, text, strlen(text), number(offset)));
}

/* contents PATH: what is in the file. */
static void step_contents(const struct line *line) {
  int fd = open(line->words[1], O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    say_result(fd);
    return;
  }
  unsigned char *bytes = malloc(READ_MAX);
  say_read(read(fd, bytes, READ_MAX), bytes);
  close(fd);
}

static void step_truncate(const struct line *line) { say_result(truncate(line->words[1], number(line->words[2]))); }

static void step_ftruncate(const struct line *line) {
  say_result(ftruncate(slot_of(line->words[1]), number(line->words[2])));
}

static void step_fsync(const struct line *line) { say_result(fsync(slot_of(line->words[1]))); }

/* seek SLOT OFFSET WHENCE */
static void step_seek(const struct line *line) {
  static const struct flag whences[] = {
      {"set", SEEK_SET}, {"cur", SEEK_CUR}, {"end", SEEK_END}, {"data", SEEK_DATA}, {"hole", SEEK_HOLE}, {NULL, 0}};
  say_result(lseek(slot_of(line->words[1]), number(line->words[2]), (int)flag_of(line->words[3], whences)));
}

/* fallocate SLOT MODE OFFSET LENGTH */
static void step_fallocate(const struct line *line) {
  static const struct flag modes[] = {{"plain", 0},
                                      {"keep", FALLOC_FL_KEEP_SIZE},
                                      {"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE},
                                      {"zero", FALLOC_FL_ZERO_RANGE},
                                      {NULL, 0}};
  int mode = (int)flag_of(line->words[2], modes);
  say_result(fallocate(slot_of(line->words[1]), mode, number(line->words[3]), number(line->words[4])));
}

/* copy SLOT OFFSET SLOT OFFSET LENGTH */
static void step_copy(const struct line *line) {
  off_t from = number(line->words[2]), to = number(line->words[4]);
  size_t length = (size_t)number(line->words[5]);
  say_result(copy_file_range(slot_of(line->words[1]), &from, slot_of(line->words[3]), &to, length, 0));
}

/* map SLOT PROTECTION LENGTH: whether it can be mapped to be shared. */
static void step_map(const struct line *line) {
  static const struct flag protections[] = {{"r", PROT_READ}, {"rw", PROT_READ | PROT_WRITE}, {NULL, 0}};
  size_t length = (size_t)number(line->words[3]);
  int protection = (int)flag_of(line->words[2], protections);
  void *at = mmap(NULL, length, protection, MAP_SHARED, slot_of(line->words[1]), 0);
  say_result(at == MAP_FAILED ? -1 : 0);
  if (at != MAP_FAILED) munmap(at, length);
}

/* map_write SLOT OFFSET TEXT: through a shared mapping of the file up to there. */
static void step_map_write(const struct line *line) {
  size_t offset = (size_t)number(line->words[2]), length = strlen(line->words[3]);
  char *at = mmap(NULL, offset + length, PROT_READ | PROT_WRITE, MAP_SHARED, slot_of(line->words[1]), 0);
  if (at == MAP_FAILED) {
    say_result(-1);
    return;
  }
  memcpy(at + offset, line->words[3], length);
  say_result(msync(at, offset + length, MS_SYNC));
  munmap(at, offset + length);
}

/* map_read SLOT OFFSET LENGTH: through a private mapping. */
static void step_map_read(const struct line *line) {
  size_t offset = (size_t)number(line->words[2]), length = (size_t)number(line->words[3]);
  unsigned char *at = mmap(NULL, offset + length, PROT_READ, MAP_PRIVATE, slot_of(line->words[1]), 0);
  if (at == MAP_FAILED) {
    say_result(-1);
    return;
  }
  say_bytes(at + offset, length);
  munmap(at, offset + length);
}

static const struct flag lock_types[] = {{"r", F_RDLCK}, {"w", F_WRLCK}, {"u", F_UNLCK}, {NULL, 0}};

/* lock SLOT TYPE START LENGTH: of this process. */
static void step_lock(const struct line *line) {
  struct flock lock = {.l_type = (short)flag_of(line->words[2], lock_types),
                       .l_whence = SEEK_SET,
                       .l_start = number(line->words[3]),
                       .l_len = number(line->words[4])};
  say_result(fcntl(slot_of(line->words[1]), F_SETLK, &lock));
}

/* lock_open SLOT TYPE START LENGTH: of the open file. */
static void step_lock_open(const struct line *line) {
  struct flock lock = {.l_type = (short)flag_of(line->words[2], lock_types),
                       .l_whence = SEEK_SET,
                       .l_start = number(line->words[3]),
                       .l_len = number(line->words[4])};
  say_result(fcntl(slot_of(line->words[1]), F_OFD_SETLK, &lock));
}

static void step_flock(const struct line *line) {
  static const struct flag kinds[] = {{"shared", LOCK_SH}, {"exclusive", LOCK_EX}, {"none", LOCK_UN}, {NULL, 0}};
  say_result(flock(slot_of(line->words[1]), (int)flag_of(line->words[2], kinds) | LOCK_NB));
}

const struct step file_steps[] = {
    {"open", 4, step_open},
    {"close", 2, step_close},
    {"create", 3, step_create},
    {"read", 4, step_read},
    {"write", 4, step_write},
    {"contents", 2, step_contents},
    {"truncate", 3, step_truncate},
    {"ftruncate", 3, step_ftruncate},
    {"fsync", 2, step_fsync},
    {"seek", 4, step_seek},
    {"fallocate", 5, step_fallocate},
    {"copy", 6, step_copy},
    {"map", 4, step_map},
    {"map_write", 4, step_map_write},
    {"map_read", 4, step_map_read},
    {"lock", 5, step_lock},
    {"lock_open", 5, step_lock_open},
    {"flock", 3, step_flock},
    {"fsx", 4, run_fsx},
    {NULL, 0, NULL},
};
