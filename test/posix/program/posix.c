/*
 * Runs cases of steps in a directory: `posix DIRECTORY < cases > results`.
 *
 *   case                        a directory of its own from here on, umask 022, nothing open
 *   mkdir d 0755                a step: a system call with its arguments
 *   @1000:1000,4 unlink d/f     the same as user 1000 in the groups 1000 and 4, without privileges over files
 *
 * Says one line a step: 0 or more where it went well, the name of errno where it did not, or what the step is about. Words are separated by single
 * spaces; %XX is a byte. No step waits for others, so what never ends was stopped by the file system.
 */
#define _GNU_SOURCE
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int slots[SLOTS];
static char result[RESULT_MAX];
static size_t said;
static long line_number;

void broken(const char *why) {
  fprintf(stderr, "line %ld: %s\n", line_number, why);
  exit(2);
}

void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(result + said, sizeof result - said, format, arguments);
  va_end(arguments);
  if (length < 0 || (size_t)length >= sizeof result - said) broken("the result is too long");
  said += (size_t)length;
}

void say_result(long value) {
  if (value >= 0) say("%ld", value);
  else say("%s", strerrorname_np(errno));
}

void say_bytes(const unsigned char *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    size_t run = 1;
    while (at + run < length && bytes[at + run] == bytes[at]) run++;
    int plain = bytes[at] > ' ' && bytes[at] < 127 && bytes[at] != '%' && bytes[at] != '{';
    if (run >= 8) say("{%%%02x*%zu}", bytes[at], run);
    else
      for (size_t i = 0; i < run; i++) say(plain ? "%c" : "%%%02x", bytes[at]);
    at += run;
  }
}

static int slot_index(const char *letter) {
  if (letter[0] < 'A' || letter[0] > 'Z' || letter[1] != 0) broken("a slot is a letter from A to Z");
  return letter[0] - 'A';
}

int slot_of(const char *letter) { return slots[slot_index(letter)]; }

void set_slot(const char *letter, int fd) {
  int index = slot_index(letter);
  if (slots[index] >= 0 && fd >= 0) broken("the slot is used already");
  slots[index] = fd;
}

long flag_of(const char *word, const struct flag *flags) {
  for (; flags->name != NULL; flags++)
    if (strcmp(flags->name, word) == 0) return flags->value;
  broken(word);
}

long flags_of(const char *words, const struct flag *flags) {
  char copy[256];
  if (strlen(words) >= sizeof copy) broken("too many flags");
  strcpy(copy, words);
  long value = 0;
  for (char *word = strtok(copy, ","); word != NULL; word = strtok(NULL, ",")) value |= flag_of(word, flags);
  return value;
}

static long long parsed(const char *word, int base) {
  char *end;
  long long value = strtoll(word, &end, base);
  if (end == word || *end != 0) broken("not a number");
  return value;
}

long long number(const char *word) { return parsed(word, 10); }

mode_t octal(const char *word) { return (mode_t)parsed(word, 8); }

const char *word_or(const struct line *line, int index, const char *otherwise) {
  return index < line->count ? line->words[index] : otherwise;
}

static void decode(char *word) {
  char *to = word;
  for (const char *from = word; *from != 0;) {
    unsigned byte;
    if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
      *to++ = (char)byte;
      from += 3;
    } else *to++ = *from++;
  }
  *to = 0;
}

static struct line split(char *text) {
  struct line line = {0};
  for (char *word; (word = strsep(&text, " ")) != NULL;) {
    if (line.count == WORDS_MAX) broken("too many words");
    decode(word);
    line.words[line.count++] = word;
  }
  return line;
}

static const struct step *find(const char *name) {
  const struct step *const tables[] = {name_steps, file_steps, fact_steps, process_steps};
  for (size_t table = 0; table < sizeof tables / sizeof *tables; table++)
    for (const struct step *step = tables[table]; step->name != NULL; step++)
      if (strcmp(step->name, name) == 0) return step;
  broken(name);
}

/* "UID:GID,GROUP…": the groups are the further ones. */
static void become(char *who) {
  char *at = who;
  uid_t uid = (uid_t)strtol(at, &at, 10);
  if (*at++ != ':') broken("a caller is UID:GID");
  gid_t gid = (gid_t)strtol(at, &at, 10);
  gid_t groups[16];
  size_t count = 0;
  while (*at == ',' && count < 16) groups[count++] = (gid_t)strtol(at + 1, &at, 10);
  if (setgroups(count, groups) < 0 || setegid(gid) < 0 || seteuid(uid) < 0) broken("only root can be others");
}

static void become_root(void) {
  if (seteuid(0) < 0 || setegid(0) < 0 || setgroups(0, NULL) < 0) broken("root is not root any more");
}

static void run(char *text) {
  char *who = NULL;
  if (text[0] == '@') {
    who = strsep(&text, " ");
    if (text == NULL) broken("nothing is to be done");
    become(who + 1);
  }
  struct line line = split(text);
  const struct step *step = find(line.words[0]);
  if (line.count < step->least) broken("a word is missing");
  said = 0;
  result[0] = 0;
  errno = 0;
  step->run(&line);
  if (who != NULL) become_root();
  puts(result);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *at) {
  (void)stat, (void)type, (void)at;
  return remove(path);
}

/* Leaves nothing of the case before. What cannot be removed is said: it is a result as well. */
static void end_case(const char *directory, const char *name) {
  for (int index = 0; index < SLOTS; index++) {
    if (slots[index] >= 0) close(slots[index]);
    slots[index] = -1;
  }
  if (chdir(directory) < 0) broken("the directory has gone");
  if (name[0] == 0) return;
  if (nftw(name, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0) printf("left %s\n", strerrorname_np(errno));
  else puts("cleared");
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], RAN) == 0) return RAN_RESULT;
  if (argc != 2) {
    fprintf(stderr, "usage: posix DIRECTORY < cases > results\n");
    return 2;
  }
  char *directory = realpath(argv[1], NULL);
  if (directory == NULL) broken(strerrorname_np(errno));
  /* Where owners are kept for who makes files in a directory that has one, this one has. */
  if (chown(directory, 0, 0) < 0) broken("only root may run this");
  signal(SIGPIPE, SIG_IGN);
  for (int index = 0; index < SLOTS; index++) slots[index] = -1;
  char name[32] = "";
  long cases = 0;
  char *text = NULL;
  size_t room = 0;
  for (ssize_t length; (length = getline(&text, &room, stdin)) > 0;) {
    line_number++;
    if (text[length - 1] == '\n') text[length - 1] = 0;
    if (strcmp(text, "case") != 0) {
      run(text);
      continue;
    }
    end_case(directory, name);
    snprintf(name, sizeof name, "case-%ld", ++cases);
    umask(022);
    if (mkdir(name, 0755) < 0 || chdir(name) < 0) broken(strerrorname_np(errno));
    puts("case");
  }
  end_case(directory, name);
  free(text);
  free(directory);
  return fflush(stdout) == 0 ? 0 : 1;
}
