/*
 * The load of the network benchmark, and what it is put on.
 *
 *   netload serve ADDRESS PORT                     the server of all others; runs until it is killed
 *   netload sink ADDRESS PORT FLOWS SECONDS        bytes to the server       {"bytes","seconds","stalled"}
 *   netload source ADDRESS PORT FLOWS SECONDS      bytes from it             {"bytes","seconds","stalled"}
 *   netload verify ADDRESS PORT BYTES SEED         both ways, compared       {"bytes","wrong"}
 *   netload rr ADDRESS PORT SECONDS                one byte there and back   {"trips","p50","p99"} in microseconds
 *   netload connect ADDRESS PORT PARALLEL SECONDS  connect, a byte there and back, close   {"connections","seconds","failed"}
 *   netload udp-sink ADDRESS PORT SECONDS          64-byte datagrams to it   {"datagrams","seconds"}, as its end counts them
 *   netload udp-source ADDRESS PORT SECONDS        and from it
 *   netload hold ADDRESS PORT FLOWS                opens so many, says {"open"}, and keeps them until its stdin ends
 *   netload agent DEVICE                           runs the others on command of a virtio-serial port (agent.c)
 *
 * Everything ends in bounded time; what could not be done is a message on stderr and exit code 1.
 */
#include "netload.h"
#include <linux/sockios.h>
#include <sys/ioctl.h>

static uint8_t buffer[BUFFER];

static int connected(const struct sockaddr_in *to) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  struct timeval limit = {.tv_sec = PATIENCE_S};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static int opened(const struct sockaddr_in *to, uint8_t service) {
  int fd = connected(to);
  if (fd < 0) fail("connect");
  if (send(fd, &service, 1, MSG_NOSIGNAL) != 1) fail("send");
  return fd;
}

static bool read_all(int fd, void *into, size_t size) {
  for (size_t got = 0; got < size;) {
    ssize_t more = recv(fd, (uint8_t *)into + got, size - got, 0);
    if (more <= 0) return false;
    got += (size_t)more;
  }
  return true;
}

/* Of what a socket has taken, how much its peer has not. */
static uint64_t waiting(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? 0 : (uint64_t)bytes;
}

static void report(uint64_t bytes, double seconds, bool stalled) {
  printf("{\"bytes\":%llu,\"seconds\":%.6f,\"stalled\":%s}\n", (unsigned long long)bytes, seconds,
         stalled ? "true" : "false");
}

#define FLOWS_MAX 64

static int open_flows(const struct sockaddr_in *to, uint8_t service, int flows, struct pollfd *into) {
  if (flows < 1 || flows > FLOWS_MAX) {
    errno = EINVAL;
    fail("flows");
  }
  for (int i = 0; i < flows; i++) into[i] = (struct pollfd){.fd = opened(to, service)};
  return flows;
}

/* What counts is what the server has read when it has seen the end of every flow; where that does not come, what was acknowledged. */
static void sink(const struct sockaddr_in *to, int flows, double seconds) {
  struct pollfd polled[FLOWS_MAX];
  uint64_t taken[FLOWS_MAX] = {0};
  open_flows(to, SINK, flows, polled);
  for (int i = 0; i < flows; i++) polled[i].events = POLLOUT;
  double began = now(), end = began + seconds;
  for (double left; (left = end - now()) > 0;) {
    if (poll(polled, (nfds_t)flows, (int)(left * 1000) + 1) < 0) fail("poll");
    for (int i = 0; i < flows; i++) {
      if (polled[i].revents == 0) continue;
      ssize_t sent = send(polled[i].fd, buffer, sizeof buffer, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN) fail("send");
      if (sent > 0) taken[i] += (uint64_t)sent;
    }
  }
  for (int i = 0; i < flows; i++) shutdown(polled[i].fd, SHUT_WR);
  uint64_t bytes = 0;
  bool stalled = false;
  double limit = now() + PATIENCE_S;
  for (int i = 0; i < flows; i++) {
    uint64_t read = 0;
    polled[i].events = POLLIN;
    double left = limit - now();
    bool answered = poll(&polled[i], 1, left > 0 ? (int)(left * 1000) : 0) == 1 && read_all(polled[i].fd, &read, 8);
    stalled |= !answered;
    bytes += answered ? read : taken[i] - waiting(polled[i].fd);
  }
  report(bytes, now() - began, stalled);
}

static void source(const struct sockaddr_in *to, int flows, double seconds) {
  struct pollfd polled[FLOWS_MAX];
  open_flows(to, SOURCE, flows, polled);
  for (int i = 0; i < flows; i++) polled[i].events = POLLIN;
  uint64_t bytes = 0;
  double began = now(), end = began + seconds, last = began;
  for (double left; (left = end - now()) > 0;) {
    if (poll(polled, (nfds_t)flows, (int)(left * 1000) + 1) < 0) fail("poll");
    for (int i = 0; i < flows; i++) {
      if (polled[i].revents == 0) continue;
      ssize_t got = recv(polled[i].fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN)) fail("recv");
      if (got > 0) bytes += (uint64_t)got, last = now();
    }
  }
  report(bytes, now() - began, last < end - 0.5);
}

static void verify(const struct sockaddr_in *to, uint64_t length, uint64_t seed) {
  int fd = opened(to, CHECK);
  if (send(fd, &seed, 8, MSG_NOSIGNAL) != 8) fail("send");
  for (uint64_t done = 0; done < length;) {
    size_t size = length - done < sizeof buffer ? (size_t)(length - done) : sizeof buffer;
    make_bytes(seed, done, buffer, size);
    for (size_t at = 0; at < size;) {
      ssize_t sent = send(fd, buffer + at, size - at, MSG_NOSIGNAL);
      if (sent <= 0) fail("send");
      at += (size_t)sent;
    }
    done += size;
  }
  shutdown(fd, SHUT_WR);
  uint64_t answer[2];
  if (!read_all(fd, answer, sizeof answer)) fail("no answer to what was sent");
  if (answer[0] != length) answer[1] += 1;
  close(fd);
  fd = opened(to, MAKE);
  uint64_t wish[2] = {seed + 1, length};
  if (send(fd, wish, sizeof wish, MSG_NOSIGNAL) != sizeof wish) fail("send");
  uint64_t got = 0, wrong = answer[1];
  for (ssize_t more; (more = recv(fd, buffer, sizeof buffer, 0)) != 0; got += (uint64_t)more) {
    if (more < 0) fail("recv");
    wrong += wrong_bytes(seed + 1, got, buffer, (size_t)more);
  }
  if (got != length) wrong += 1;
  printf("{\"bytes\":%llu,\"wrong\":%llu}\n", (unsigned long long)(answer[0] + got), (unsigned long long)wrong);
}

static int by_size(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

#define TRIPS_MAX 1000000
/* Trips before those that count. */
#define TRIPS_WARM 200

static void round_trips(const struct sockaddr_in *to, double seconds) {
  static double trips[TRIPS_MAX];
  int fd = opened(to, ECHO);
  int count = -TRIPS_WARM;
  uint8_t byte = 'x';
  for (double end = now() + seconds; count < TRIPS_MAX && (count < 1 || now() < end);) {
    double began = now();
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1) fail("a byte did not come back");
    double took = now() - began;
    if (count >= 0) trips[count] = took;
    count++;
  }
  qsort(trips, (size_t)count, sizeof *trips, by_size);
  printf("{\"trips\":%d,\"p50\":%.2f,\"p99\":%.2f}\n", count, trips[count / 2] * 1e6, trips[(size_t)count * 99 / 100] * 1e6);
}

struct connects {
  uint64_t done, failed;
};

static struct connects connect_for(const struct sockaddr_in *to, double seconds) {
  struct connects result = {0, 0};
  for (double end = now() + seconds; now() < end;) {
    static const uint8_t hello[2] = {ECHO, 'x'};
    uint8_t byte = 0;
    int fd = connected(to);
    bool fine = fd >= 0 && send(fd, hello, 2, MSG_NOSIGNAL) == 2 && recv(fd, &byte, 1, 0) == 1 && byte == 'x';
    if (fine) {
      result.done++;
    } else {
      result.failed++;
      usleep(1000);
    }
    if (fd >= 0) close(fd);
  }
  return result;
}

static void connections(const struct sockaddr_in *to, int parallel, double seconds) {
  int pipes[2];
  if (pipe(pipes) < 0) fail("pipe");
  double began = now();
  for (int i = 0; i < parallel; i++) {
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child > 0) continue;
    struct connects result = connect_for(to, seconds);
    _exit(write(pipes[1], &result, sizeof result) == sizeof result ? 0 : 1);
  }
  close(pipes[1]);
  struct connects sum = {0, 0}, one;
  while (read(pipes[0], &one, sizeof one) == sizeof one) sum.done += one.done, sum.failed += one.failed;
  double took = now() - began;
  while (wait(NULL) > 0) continue;
  printf("{\"connections\":%llu,\"seconds\":%.6f,\"failed\":%llu}\n", (unsigned long long)sum.done, took,
         (unsigned long long)sum.failed);
}

/* The server's count and clock. */
static void ask_count(int fd, uint64_t words[2]) {
  uint8_t byte = '?';
  if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || !read_all(fd, words, 16)) fail("the server does not say its count");
}

static void udp_sink(struct sockaddr_in *to, double seconds) {
  int control = opened(to, COUNT), fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (connect(fd, (struct sockaddr *)to, sizeof *to) < 0) fail("connect");
  struct blast blast;
  blast_begin(&blast, NULL);
  uint64_t before[2], after[2];
  ask_count(control, before);
  for (double end = now() + seconds; now() < end;) sendmmsg(fd, blast.messages, BATCH, 0);
  ask_count(control, after);
  printf("{\"datagrams\":%llu,\"seconds\":%.6f}\n", (unsigned long long)(after[0] - before[0]),
         (double)(after[1] - before[1]) / 1e9);
}

static void udp_source(struct sockaddr_in *to, double seconds) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  int space = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &space, sizeof space);
  if (connect(fd, (struct sockaddr *)to, sizeof *to) < 0) fail("connect");
  uint8_t wish[5] = {BLAST};
  uint32_t ms = (uint32_t)(seconds * 1000);
  memcpy(wish + 1, &ms, 4);
  if (send(fd, wish, sizeof wish, 0) != sizeof wish) fail("send");
  static uint8_t bytes[BATCH][DATAGRAM];
  struct iovec pieces[BATCH];
  struct mmsghdr messages[BATCH];
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < BATCH; i++) {
    pieces[i] = (struct iovec){.iov_base = bytes[i], .iov_len = DATAGRAM};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  uint64_t datagrams = 0;
  double began = now(), end = began + seconds;
  for (double left; (left = end - now()) > 0;) {
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    poll(&polled, 1, (int)(left * 1000) + 1);
    int got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    if (got > 0) datagrams += (uint64_t)got;
  }
  printf("{\"datagrams\":%llu,\"seconds\":%.6f}\n", (unsigned long long)datagrams, now() - began);
}

static void hold(const struct sockaddr_in *to, int flows) {
  static const uint8_t hello[2] = {ECHO, 'x'};
  int open = 0;
  /* The rest would only fail the same way, and each of them slowly. */
  for (int i = 0; i < flows; i++) {
    uint8_t byte;
    int fd = connected(to);
    if (fd < 0 || send(fd, hello, 2, MSG_NOSIGNAL) != 2 || recv(fd, &byte, 1, 0) != 1) break;
    open++;
  }
  printf("{\"open\":%d}\n", open);
  fflush(stdout);
  while (read(0, buffer, sizeof buffer) > 0) continue;
}

static double number(char **args, int index) { return args[index] == NULL ? 0 : atof(args[index]); }

int main(int count, char **args) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  signal(SIGPIPE, SIG_IGN);
  if (count == 3 && strcmp(args[1], "agent") == 0) agent(args[2]);
  if (count < 4) {
    fprintf(stderr, "netload: see netload.c for what it takes\n");
    return 2;
  }
  const char *mode = args[1];
  if (strcmp(mode, "serve") == 0) serve(args[2], args[3]);
  struct sockaddr_in to = address_of(args[2], args[3]);
  double first = count > 4 ? number(args, 4) : 0, second = count > 5 ? number(args, 5) : 0;
  if (strcmp(mode, "sink") == 0) {
    sink(&to, (int)first, second);
  } else if (strcmp(mode, "source") == 0) {
    source(&to, (int)first, second);
  } else if (strcmp(mode, "verify") == 0) {
    verify(&to, (uint64_t)first, (uint64_t)second);
  } else if (strcmp(mode, "rr") == 0) {
    round_trips(&to, first);
  } else if (strcmp(mode, "connect") == 0) {
    connections(&to, (int)first, second);
  } else if (strcmp(mode, "udp-sink") == 0) {
    udp_sink(&to, first);
  } else if (strcmp(mode, "udp-source") == 0) {
    udp_source(&to, first);
  } else if (strcmp(mode, "hold") == 0) {
    hold(&to, (int)first);
  } else {
    fprintf(stderr, "netload: no such mode: %s\n", mode);
    return 2;
  }
  return 0;
}
