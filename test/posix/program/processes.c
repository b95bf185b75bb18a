/* Steps in which another process takes part. */
#define _GNU_SOURCE
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child ended with: zero, or an error number. */
static void say_child(pid_t child) {
  int status;
  if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status)) broken("the other process did not end");
  errno = WEXITSTATUS(status);
  say_result(errno == 0 ? 0 : -1);
}

/* other_lock PATH TYPE START LENGTH: what another process is told of a lock. */
static void step_other_lock(const struct line *line) {
  static const struct flag types[] = {{"r", F_RDLCK}, {"w", F_WRLCK}, {NULL, 0}};
  struct flock lock = {.l_type = (short)flag_of(line->words[2], types),
                       .l_whence = SEEK_SET,
                       .l_start = number(line->words[3]),
                       .l_len = number(line->words[4])};
  pid_t child = fork();
  if (child == 0) {
    int fd = open(line->words[1], O_RDWR | O_CLOEXEC);
    _exit(fd >= 0 && fcntl(fd, F_SETLK, &lock) >= 0 ? 0 : errno);
  }
  say_child(child);
}

/* other_close SLOT: another process has the file too, and closes it, which releases no lock of this one. */
static void step_other_close(const struct line *line) {
  int fd = slot_of(line->words[1]);
  pid_t child = fork();
  if (child == 0) _exit(close(fd) >= 0 ? 0 : errno);
  say_child(child);
}

/* other_read SLOT LENGTH: another process reads on where the file is at, which is one place for both. */
static void step_other_read(const struct line *line) {
  char bytes[256];
  int fd = slot_of(line->words[1]);
  size_t length = (size_t)number(line->words[2]);
  if (length > sizeof bytes) broken("too much to read");
  pid_t child = fork();
  if (child == 0) _exit(read(fd, bytes, length) >= 0 ? 0 : errno);
  say_child(child);
}

/* program PATH MODE: this program, under that name. */
static void step_program(const struct line *line) {
  int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  int to = open(line->words[1], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, octal(line->words[2]));
  struct stat found;
  if (from < 0 || to < 0 || fstat(from, &found) < 0) {
    say_result(-1);
    return;
  }
  ssize_t copied = 0;
  while (found.st_size > 0 && (copied = sendfile(to, from, NULL, (size_t)found.st_size)) > 0) found.st_size -= copied;
  say_result(copied < 0 ? copied : 0);
  close(from);
  close(to);
}

/* run PATH: executes it. */
static void step_run(const struct line *line) {
  pid_t child = fork();
  if (child == 0) {
    char *const words[] = {line->words[1], RAN, NULL};
    execv(line->words[1], words);
    _exit(errno);
  }
  int status;
  if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status)) broken("the program did not end");
  if (WEXITSTATUS(status) == RAN_RESULT) say("ran");
  else {
    errno = WEXITSTATUS(status);
    say_result(-1);
  }
}

const struct step process_steps[] = {
    {"other_lock", 5, step_other_lock},
    {"other_close", 2, step_other_close},
    {"other_read", 3, step_other_read},
    {"program", 3, step_program},
    {"run", 2, step_run},
    {NULL, 0, NULL},
};
