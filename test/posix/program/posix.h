/*
 * Steps of POSIX, one a line, each a system call and its result: what the files of this program share.
 */
#ifndef POSIX_H
#define POSIX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WORDS_MAX 12
#define SLOTS 26
#define RESULT_MAX (1 << 17)

/* The words of a line, decoded: the name of the step, then what it is given. */
struct line {
  int count;
  char *words[WORDS_MAX];
};

/* A step: says its result with `say` or `say_result`. */
typedef void step_function(const struct line *line);

struct step {
  const char *name;
  /* Of words, with the name. */
  int least;
  step_function *run;
};

extern const struct step name_steps[];
extern const struct step file_steps[];
extern const struct step fact_steps[];
extern const struct step process_steps[];

/* Open files, by letter: -1 where there is none. */
int slot_of(const char *letter);
void set_slot(const char *letter, int fd);

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Zero or more is said as the number, less as the name of errno. */
void say_result(long result);
/* As text: what is not printable as %XX, long runs of one byte as {%XX*N}. */
void say_bytes(const unsigned char *bytes, size_t length);

/* The one word of this program when it runs a copy of itself, and what that ends with: no number of an error. */
#define RAN "--ran"
#define RAN_RESULT 200

/* The line is not understood: a bug of whoever wrote it. */
void broken(const char *why) __attribute__((noreturn));

/* A word among the names, or broken. Several are joined by commas. */
struct flag {
  const char *name;
  long value;
};
long flag_of(const char *word, const struct flag *flags);
long flags_of(const char *words, const struct flag *flags);

/* The word's number, or broken; `octal` for modes. */
long long number(const char *word);
mode_t octal(const char *word);
/* The word at `index`, or `otherwise` where the line is shorter. */
const char *word_or(const struct line *line, int index, const char *otherwise);

/* Random reads, writes, truncations, mappings and holes against a copy in memory. Says "ok", or what differed. */
void run_fsx(const struct line *line);

#endif
