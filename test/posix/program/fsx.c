/*
 * fsx PATH SEED COUNT [map]: random reads, writes, truncations, holes and, where asked for, mappings of one file, each checked against a copy in memory. As Apple's fsx
 * does; written anew.
 */
#define _GNU_SOURCE
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (256 * 1024)
#define PIECE (48 * 1024)

struct run {
  const char *path;
  int fd;
  uint64_t state;
  size_t size;
  unsigned char *model;
  unsigned char *buffer;
  int maps;
};

/* xorshift64*: the same on every machine. */
static uint32_t chance(struct run *run, uint32_t below) {
  run->state ^= run->state >> 12;
  run->state ^= run->state << 25;
  run->state ^= run->state >> 27;
  return (uint32_t)((run->state * 2685821657736338717ull) >> 32) % below;
}

static void fill(struct run *run, size_t length) {
  unsigned char value = (unsigned char)chance(run, 256);
  for (size_t at = 0; at < length; at++) run->buffer[at] = (unsigned char)(value + at);
}

static void resize(struct run *run, size_t size) {
  if (size > run->size) memset(run->model + run->size, 0, size - run->size);
  run->size = size;
}

static const char *do_write(struct run *run) {
  size_t offset = chance(run, SIZE - PIECE), length = 1 + chance(run, PIECE);
  fill(run, length);
  if (pwrite(run->fd, run->buffer, length, (off_t)offset) != (ssize_t)length) return "write";
  if (offset + length > run->size) resize(run, offset + length);
  memcpy(run->model + offset, run->buffer, length);
  return NULL;
}

static const char *do_read(struct run *run) {
  size_t offset = chance(run, SIZE), length = 1 + chance(run, PIECE);
  size_t there = offset >= run->size ? 0 : run->size - offset;
  if (there > length) there = length;
  if (pread(run->fd, run->buffer, length, (off_t)offset) != (ssize_t)there) return "read: length";
  return memcmp(run->buffer, run->model + offset, there) == 0 ? NULL : "read: content";
}

static const char *do_truncate(struct run *run) {
  size_t size = chance(run, SIZE);
  int by_name = (int)chance(run, 2);
  if ((by_name ? truncate(run->path, (off_t)size) : ftruncate(run->fd, (off_t)size)) < 0) return "truncate";
  resize(run, size);
  return NULL;
}

static const char *do_map_read(struct run *run) {
  if (run->size == 0) return NULL;
  unsigned char *at = mmap(NULL, run->size, PROT_READ, MAP_SHARED, run->fd, 0);
  if (at == MAP_FAILED) return "map to read";
  int differs = memcmp(at, run->model, run->size);
  munmap(at, run->size);
  return differs == 0 ? NULL : "map to read: content";
}

static const char *do_map_write(struct run *run) {
  if (run->size < 2) return NULL;
  size_t offset = chance(run, (uint32_t)run->size - 1);
  size_t length = 1 + chance(run, (uint32_t)(run->size - offset));
  if (length > PIECE) length = PIECE;
  fill(run, length);
  unsigned char *at = mmap(NULL, run->size, PROT_READ | PROT_WRITE, MAP_SHARED, run->fd, 0);
  if (at == MAP_FAILED) return "map to write";
  memcpy(at + offset, run->buffer, length);
  int result = chance(run, 2) ? msync(at, run->size, MS_SYNC) : 0;
  munmap(at, run->size);
  memcpy(run->model + offset, run->buffer, length);
  return result < 0 ? "msync" : NULL;
}

/* Where there are no holes, that is no fault: NFSv3 has none to make. */
static const char *do_punch(struct run *run) {
  size_t offset = chance(run, SIZE - PIECE), length = 1 + chance(run, PIECE);
  int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (fallocate(run->fd, mode, (off_t)offset, (off_t)length) < 0) return errno == EOPNOTSUPP ? NULL : "punch";
  if (offset < run->size) memset(run->model + offset, 0, offset + length > run->size ? run->size - offset : length);
  return NULL;
}

static const char *do_allocate(struct run *run) {
  size_t offset = chance(run, SIZE - PIECE), length = 1 + chance(run, PIECE);
  if (fallocate(run->fd, 0, (off_t)offset, (off_t)length) < 0) return errno == EOPNOTSUPP ? NULL : "allocate";
  if (offset + length > run->size) resize(run, offset + length);
  return NULL;
}

/* Within the file, to where it does not overlap. */
static const char *do_copy(struct run *run) {
  size_t half = SIZE / 2, length = 1 + chance(run, PIECE);
  off_t from = chance(run, (uint32_t)(half - PIECE)), to = (off_t)half + chance(run, (uint32_t)(half - PIECE));
  size_t there = (size_t)from >= run->size ? 0 : run->size - (size_t)from;
  if (there > length) there = length;
  off_t into = to;
  for (size_t done = 0; done < there;) {
    ssize_t copied = copy_file_range(run->fd, &from, run->fd, &into, there - done, 0);
    if (copied <= 0) return errno == EOPNOTSUPP || errno == EXDEV ? NULL : "copy";
    done += (size_t)copied;
  }
  if ((size_t)to + there > run->size && there > 0) resize(run, (size_t)to + there);
  memmove(run->model + to, run->model + (size_t)from - there, there);
  return NULL;
}

/* Closed and opened again: what is in caches has to be what is in the file. */
static const char *do_reopen(struct run *run) {
  close(run->fd);
  run->fd = open(run->path, O_RDWR | O_CLOEXEC);
  return run->fd < 0 ? "open" : NULL;
}

static const char *do_size(struct run *run) {
  struct stat found;
  if (fstat(run->fd, &found) < 0) return "fstat";
  return (size_t)found.st_size == run->size ? NULL : "fstat: size";
}

static const char *do_sync(struct run *run) { return fdatasync(run->fd) < 0 ? "sync" : NULL; }

static const char *one(struct run *run) {
  static const char *(*const plain[])(struct run *) = {do_write, do_write, do_write,  do_read, do_read,     do_read, do_truncate,
                                                       do_punch, do_copy,  do_allocate, do_size, do_reopen, do_sync};
  static const char *(*const maps[])(struct run *) = {do_map_read, do_map_write};
  if (run->maps && chance(run, 4) == 0) return maps[chance(run, 2)](run);
  return plain[chance(run, sizeof plain / sizeof *plain)](run);
}

void run_fsx(const struct line *line) {
  long long count = number(line->words[3]);
  struct run run = {.path = line->words[1],
                    .fd = open(line->words[1], O_RDWR | O_CREAT | O_CLOEXEC, 0644),
                    .state = 88172645463325252ull ^ ((uint64_t)number(line->words[2]) << 17),
                    .model = calloc(1, SIZE * 2),
                    .buffer = malloc(SIZE * 2),
                    .maps = strcmp(word_or(line, 4, ""), "map") == 0};
  const char *fault = run.fd < 0 ? "open" : NULL;
  long long at = 0;
  while (fault == NULL && at < count) {
    errno = 0;
    at++;
    fault = one(&run);
  }
  if (fault == NULL) say("ok");
  else say("%s, after %lld (%s)", fault, at, errno == 0 ? "no error" : strerrorname_np(errno));
  if (run.fd >= 0) close(run.fd);
  free(run.model);
  free(run.buffer);
}
