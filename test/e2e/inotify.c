/* Prints what inotify(7) tells of the directories that it is given, and of those that come into being below: one line an event. A container's side of the shares' tests. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCHES 4096
static char *watched[WATCHES];

static void add(int fd, const char *path) {
  int wd = inotify_add_watch(fd, path, IN_ALL_EVENTS & ~(IN_ACCESS | IN_OPEN | IN_CLOSE_NOWRITE));
  if (wd < 0 || wd >= WATCHES) return;
  free(watched[wd]);
  watched[wd] = strdup(path);
  DIR *directory = opendir(path);
  if (!directory) return;
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    char below[4096];
    snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
    add(fd, below);
  }
  closedir(directory);
}

static const char *name_of(unsigned mask) {
  switch (mask & ~IN_ISDIR) {
    case IN_CREATE: return "create";
    case IN_MODIFY: return "modify";
    case IN_ATTRIB: return "attrib";
    case IN_CLOSE_WRITE: return "close-write";
    case IN_DELETE: return "delete";
    case IN_MOVED_FROM: return "moved-from";
    case IN_MOVED_TO: return "moved-to";
    case IN_Q_OVERFLOW: return "overflow";
    default: return "other";
  }
}

int main(int count, char **arguments) {
  int fd = inotify_init1(IN_CLOEXEC);
  for (int i = 1; i < count; i++) add(fd, arguments[i]);
  printf("ready\n");
  fflush(stdout);
  static char buffer[65536] __attribute__((aligned(8)));
  for (;;) {
    ssize_t length = read(fd, buffer, sizeof buffer);
    if (length <= 0) return 1;
    for (char *at = buffer; at < buffer + length;) {
      struct inotify_event *event = (struct inotify_event *)at;
      const char *directory = event->wd >= 0 && event->wd < WATCHES && watched[event->wd] ? watched[event->wd] : "";
      char path[8192];
      snprintf(path, sizeof path, "%s%s%s", directory, event->len ? "/" : "", event->len ? event->name : "");
      printf("%s %s %u\n", name_of(event->mask), path, event->cookie);
      if (event->mask & IN_ISDIR && event->mask & (IN_CREATE | IN_MOVED_TO)) add(fd, path);
      at += sizeof *event + event->len;
    }
    fflush(stdout);
  }
}
