/*
 * The load in a virtual machine, driven over a virtio-serial port, so that the network under test carries nothing else.
 *
 * A line `ID run WORD...` runs netload with these words, `ID kill` ends it. Of it come `ID out LINE` for each line it writes and `ID exit CODE` at last.
 * The benchmark ends the machine, and with it the agent.
 */
#include "netload.h"
#include <fcntl.h>

#define JOBS 16
#define WORDS 16
#define LINE 512

struct job {
  char id[16];
  pid_t pid;
  int out;
  char line[LINE];
  size_t size;
};

static struct job jobs[JOBS];
static int port;

static void say(const char *id, const char *what, const char *rest) {
  char line[LINE + 64];
  int size = snprintf(line, sizeof line, "%s %s %s\n", id, what, rest);
  for (int at = 0; at < size;) {
    ssize_t sent = write(port, line + at, (size_t)(size - at));
    if (sent > 0) at += (int)sent;
    else usleep(1000); /* The host is not there, or does not read. */
  }
}

static struct job *job_of(const char *id) {
  for (int i = 0; i < JOBS; i++)
    if (jobs[i].pid != 0 && strcmp(jobs[i].id, id) == 0) return &jobs[i];
  return NULL;
}

static void start(const char *id, char **words) {
  struct job *job = NULL;
  for (int i = 0; i < JOBS && job == NULL; i++)
    if (jobs[i].pid == 0) job = &jobs[i];
  int pipes[2];
  if (job == NULL || pipe2(pipes, O_CLOEXEC) < 0) return say(id, "exit", "1");
  memset(job, 0, sizeof *job);
  snprintf(job->id, sizeof job->id, "%s", id);
  job->out = pipes[0];
  job->pid = fork();
  if (job->pid == 0) {
    dup2(pipes[1], 1);
    dup2(pipes[1], 2);
    execv("/proc/self/exe", words);
    _exit(127);
  }
  close(pipes[1]);
}

static void obey(char *line) {
  char *words[WORDS + 1] = {"netload"};
  int count = 1;
  char *id = strtok(line, " "), *verb = strtok(NULL, " ");
  if (id == NULL || verb == NULL) return;
  for (char *word; count < WORDS && (word = strtok(NULL, " ")) != NULL;) words[count++] = word;
  if (strcmp(verb, "run") == 0) return start(id, words);
  struct job *job = job_of(id);
  if (strcmp(verb, "kill") == 0 && job != NULL) kill(job->pid, SIGKILL);
}

static void listen_to(struct job *job) {
  ssize_t got = read(job->out, job->line + job->size, sizeof job->line - 1 - job->size);
  if (got > 0) job->size += (size_t)got;
  for (char *end; (end = memchr(job->line, '\n', job->size)) != NULL;) {
    *end = 0;
    say(job->id, "out", job->line);
    size_t used = (size_t)(end - job->line) + 1;
    job->size -= used;
    memmove(job->line, job->line + used, job->size);
  }
  if (job->size == sizeof job->line - 1) job->size = 0;
  if (got != 0) return;
  int status = 0;
  char code[16];
  waitpid(job->pid, &status, 0);
  snprintf(code, sizeof code, "%d", WIFEXITED(status) ? WEXITSTATUS(status) : 128);
  close(job->out);
  job->pid = 0;
  say(job->id, "exit", code);
}

_Noreturn void agent(const char *device) {
  port = open(device, O_RDWR | O_CLOEXEC);
  if (port < 0) fail(device);
  say("0", "out", "{\"ready\":true}");
  static char line[4096];
  size_t size = 0;
  for (;;) {
    struct pollfd polled[JOBS + 1] = {{.fd = port, .events = POLLIN}};
    struct job *of[JOBS + 1] = {NULL};
    nfds_t count = 1;
    for (int i = 0; i < JOBS; i++) {
      if (jobs[i].pid == 0) continue;
      of[count] = &jobs[i];
      polled[count++] = (struct pollfd){.fd = jobs[i].out, .events = POLLIN};
    }
    if (poll(polled, count, -1) < 0) continue;
    for (nfds_t i = 1; i < count; i++)
      if (polled[i].revents != 0) listen_to(of[i]);
    if (polled[0].revents == 0) continue;
    ssize_t got = read(port, line + size, sizeof line - 1 - size);
    if (got <= 0) {
      usleep(10000); /* Nobody is at the host's end. */
      continue;
    }
    size += (size_t)got;
    for (char *end; (end = memchr(line, '\n', size)) != NULL;) {
      *end = 0;
      size_t used = (size_t)(end - line) + 1;
      obey(line);
      size -= used;
      memmove(line, line + used, size);
    }
    if (size == sizeof line - 1) size = 0;
  }
}
