/*
 * In a container: remembers what inotify(7) tells of directories and when, and says it when asked, so that nothing is printed while it is measured.
 *
 *   now    -> now NANOSECONDS              of CLOCK_REALTIME
 *   reset  -> reset
 *   count  -> count CLOSED OVERFLOWS       IN_CLOSE_WRITE so far
 *   dump   -> NANOSECONDS KIND NAME ...    one a line, KIND c for IN_CREATE, m IN_MODIFY, w IN_CLOSE_WRITE; then "end"
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#define NAME 40
#define SECOND 1000000000ll

struct record {
  long long when;
  char kind;
  char name[NAME];
};

static struct record *records;
static size_t count, room, closed, overflows;

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec * SECOND + time.tv_nsec;
}

static void add(long long when, char kind, const char *name) {
  if (count == room) {
    room = room ? 2 * room : 65536;
    records = realloc(records, room * sizeof *records);
    if (!records) exit(1);
  }
  struct record *record = &records[count++];
  record->when = when;
  record->kind = kind;
  snprintf(record->name, NAME, "%s", name);
}

static void take(int inotify) {
  static char buffer[262144] __attribute__((aligned(8)));
  ssize_t length = read(inotify, buffer, sizeof buffer);
  long long when = now();
  if (length <= 0) exit(1);
  for (char *at = buffer; at < buffer + length;) {
    struct inotify_event *event = (struct inotify_event *)at;
    at += sizeof *event + event->len;
    if (event->mask & IN_Q_OVERFLOW) overflows++;
    if (event->len == 0) continue;
    if (event->mask & IN_CREATE) add(when, 'c', event->name);
    if (event->mask & IN_MODIFY) add(when, 'm', event->name);
    if (event->mask & IN_CLOSE_WRITE) {
      add(when, 'w', event->name);
      closed++;
    }
  }
}

static void dump(void) {
  for (size_t i = 0; i < count; i++) printf("%lld %c %s\n", records[i].when, records[i].kind, records[i].name);
  printf("end\n");
}

static int answer(void) {
  char line[64];
  if (!fgets(line, sizeof line, stdin)) return 0;
  if (!strcmp(line, "now\n")) printf("now %lld\n", now());
  if (!strcmp(line, "reset\n")) {
    count = closed = overflows = 0;
    printf("reset\n");
  }
  if (!strcmp(line, "count\n")) printf("count %zu %zu\n", closed, overflows);
  if (!strcmp(line, "dump\n")) dump();
  fflush(stdout);
  return 1;
}

int main(int argc, char **argv) {
  int inotify = inotify_init1(IN_CLOEXEC);
  for (int i = 1; i < argc; i++)
    if (inotify_add_watch(inotify, argv[i], IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE) < 0) return 1;
  setvbuf(stdin, NULL, _IONBF, 0);
  printf("ready\n");
  fflush(stdout);
  struct pollfd files[2] = {{.fd = inotify, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  while (poll(files, 2, -1) > 0) {
    if (files[0].revents) take(inotify);
    if (files[1].revents && !answer()) return 0;
  }
  return 1;
}
