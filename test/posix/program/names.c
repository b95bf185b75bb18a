/* Steps about names: what makes, moves and removes files. */
#define _GNU_SOURCE
#include "posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static void step_mkdir(const struct line *line) { say_result(mkdir(line->words[1], octal(line->words[2]))); }
static void step_rmdir(const struct line *line) { say_result(rmdir(line->words[1])); }
static void step_unlink(const struct line *line) { say_result(unlink(line->words[1])); }
static void step_link(const struct line *line) { say_result(link(line->words[1], line->words[2])); }
static void step_symlink(const struct line *line) { say_result(symlink(line->words[1], line->words[2])); }
static void step_rename(const struct line *line) { say_result(rename(line->words[1], line->words[2])); }
static void step_mkfifo(const struct line *line) { say_result(mkfifo(line->words[1], octal(line->words[2]))); }
static void step_chdir(const struct line *line) { say_result(chdir(line->words[1])); }

/* link_follow FROM TO: of what a symbolic link leads to. */
static void step_link_follow(const struct line *line) {
  say_result(linkat(AT_FDCWD, line->words[1], AT_FDCWD, line->words[2], AT_SYMLINK_FOLLOW));
}

/* link_open SLOT TO: a name for an open file, as O_TMPFILE has it. */
static void step_link_open(const struct line *line) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", slot_of(line->words[1]));
  say_result(linkat(AT_FDCWD, path, AT_FDCWD, line->words[2], AT_SYMLINK_FOLLOW));
}

static void step_rename2(const struct line *line) {
  static const struct flag flags[] = {
      {"noreplace", RENAME_NOREPLACE}, {"exchange", RENAME_EXCHANGE}, {"whiteout", RENAME_WHITEOUT}, {NULL, 0}};
  unsigned wanted = (unsigned)flags_of(line->words[3], flags);
  say_result(renameat2(AT_FDCWD, line->words[1], AT_FDCWD, line->words[2], wanted));
}

/* mknod PATH TYPE MODE MAJOR MINOR */
static void step_mknod(const struct line *line) {
  static const struct flag types[] = {
      {"b", S_IFBLK}, {"c", S_IFCHR}, {"p", S_IFIFO}, {"s", S_IFSOCK}, {"f", S_IFREG}, {"d", S_IFDIR}, {NULL, 0}};
  mode_t mode = octal(line->words[3]) | (mode_t)flag_of(line->words[2], types);
  dev_t device = makedev(number(word_or(line, 4, "0")), number(word_or(line, 5, "0")));
  say_result(mknod(line->words[1], mode, device));
}

static struct sockaddr_un address_of(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) broken("the socket's path is too long");
  strcpy(address.sun_path, path);
  return address;
}

/* bind SLOT PATH: a socket that listens. */
static void step_bind(const struct line *line) {
  struct sockaddr_un address = address_of(line->words[2]);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0) {
    say_result(-1);
    close(fd);
    return;
  }
  set_slot(line->words[1], fd);
  say_result(0);
}

static void step_connect(const struct line *line) {
  struct sockaddr_un address = address_of(line->words[1]);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  say_result(connect(fd, (struct sockaddr *)&address, sizeof address));
  close(fd);
}

static void step_readlink(const struct line *line) {
  char target[8192];
  ssize_t length = readlink(line->words[1], target, sizeof target);
  if (length < 0) say_result(length);
  else say_bytes((unsigned char *)target, (size_t)length);
}

static int by_name(const struct dirent **one, const struct dirent **other) {
  return strcmp((*one)->d_name, (*other)->d_name);
}

static char type_letter(unsigned char type) {
  switch (type) {
    case DT_REG: return 'f';
    case DT_DIR: return 'd';
    case DT_LNK: return 'l';
    case DT_FIFO: return 'p';
    case DT_SOCK: return 's';
    case DT_BLK: return 'b';
    case DT_CHR: return 'c';
    default: return '?';
  }
}

/* list PATH: names in order, each with its type. */
static void step_list(const struct line *line) {
  struct dirent **entries;
  int count = scandir(line->words[1], &entries, NULL, by_name);
  if (count < 0) {
    say_result(count);
    return;
  }
  for (int index = 0; index < count; index++) {
    if (index > 0) say(" ");
    say_bytes((unsigned char *)entries[index]->d_name, strlen(entries[index]->d_name));
    say("/%c", type_letter(entries[index]->d_type));
    free(entries[index]);
  }
  free(entries);
}

/* many DIRECTORY COUNT: makes that many files in it. */
static void step_many(const struct line *line) {
  for (long long index = 0; index < number(line->words[2]); index++) {
    char path[512];
    snprintf(path, sizeof path, "%s/file number %lld of many", line->words[1], index);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
    if (fd < 0) {
      say_result(fd);
      return;
    }
    close(fd);
  }
  say_result(0);
}

/* clear DIRECTORY: removes each file as it is read, as rm does; says how many there were. */
static void step_clear(const struct line *line) {
  DIR *directory = opendir(line->words[1]);
  if (directory == NULL) {
    say_result(-1);
    return;
  }
  long count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (unlinkat(dirfd(directory), entry->d_name, 0) < 0) {
      say_result(-1);
      closedir(directory);
      return;
    }
    count++;
  }
  closedir(directory);
  say_result(count);
}

const struct step name_steps[] = {
    {"mkdir", 3, step_mkdir},
    {"rmdir", 2, step_rmdir},
    {"unlink", 2, step_unlink},
    {"link", 3, step_link},
    {"link_follow", 3, step_link_follow},
    {"link_open", 3, step_link_open},
    {"symlink", 3, step_symlink},
    {"rename", 3, step_rename},
    {"rename2", 4, step_rename2},
    {"mkfifo", 3, step_mkfifo},
    {"mknod", 4, step_mknod},
    {"chdir", 2, step_chdir},
    {"bind", 3, step_bind},
    {"connect", 2, step_connect},
    {"readlink", 2, step_readlink},
    {"list", 2, step_list},
    {"many", 3, step_many},
    {"clear", 2, step_clear},
    {NULL, 0, NULL},
};
