/*
 * A cable of Ethernet frames between a TAP interface and another, or a socket with QEMU's framing (a u32 of length in network order, then the frame).
 *
 *   cable NAME unix PATH [DELAY-US LOSS-PPM SEED]           a stand-in for QEMU with `-netdev stream`
 *   cable NAME tap OTHER NETNS [DELAY-US LOSS-PPM SEED]     OTHER is in the network namespace whose file is NETNS
 *
 * Each way loses LOSS-PPM frames of a million, by a seeded generator, and holds the others back for DELAY-US. The interfaces offer no offloads: every frame
 * is one of the wire. Without an impairment a frame goes straight on, many to a system call where the other end is a socket. What does not fit into
 * QUEUE_BYTES is dropped, but a socket that is full stops the reading of the interface, as QEMU does it. Ends with its stdin, or with the socket.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX (65536 + 64)
#define PREFIX 4
#define QUEUE_BYTES (64u << 20)
#define QUEUE_FRAMES 65536u
#define INPUT (1u << 20)
/* Frames of an interface that are read before they are passed on. */
#define TURN 64
#define TURN_BYTES (512u << 10)

/* Frames on their way to one end: prefixed, one after the other, so that several are one write to a socket. */
struct queue {
  uint8_t *bytes;
  uint32_t at[QUEUE_FRAMES], size[QUEUE_FRAMES];
  uint64_t due[QUEUE_FRAMES];
  /* Numbers of frames, modulo QUEUE_FRAMES; and of the first frame, what a socket has taken already. */
  uint32_t first, next, taken;
};

struct end {
  int fd;
  bool is_socket;
  /* What goes to this end. */
  struct queue out;
  /* Of a socket: a frame's beginning that is left from the read before. */
  uint8_t *input;
  uint32_t input_size;
  bool full;
};

static struct end ends[2];
static uint64_t delay_ns, random_state;
static uint32_t loss_ppm;

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "cable: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static bool is_lost(void) {
  if (loss_ppm == 0) return false;
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (random_state >> 11) % 1000000 < loss_ppm;
}

static bool is_empty(const struct queue *queue) { return queue->first == queue->next; }

/* Where a frame of any size fits, in one piece, behind its prefix; null where the queue is full. */
static uint8_t *room(struct queue *queue) {
  if (is_empty(queue)) return queue->bytes;
  if (queue->next - queue->first == QUEUE_FRAMES) return NULL;
  uint32_t last = (queue->next - 1) % QUEUE_FRAMES, first = queue->at[queue->first % QUEUE_FRAMES];
  uint32_t end = queue->at[last] + queue->size[last];
  if (end > first) {
    if (QUEUE_BYTES - end >= FRAME_MAX) return queue->bytes + end;
    end = 0;
  }
  return first - end > FRAME_MAX ? queue->bytes + end : NULL;
}

/* Takes over the frame of `length` bytes that was written behind the prefix at `at`, unless it gets lost. */
static void enqueue(struct queue *queue, uint8_t *at, uint32_t length) {
  if (is_lost()) return;
  uint32_t prefix = htonl(length), slot = queue->next % QUEUE_FRAMES;
  memcpy(at, &prefix, PREFIX);
  queue->at[slot] = (uint32_t)(at - queue->bytes);
  queue->size[slot] = PREFIX + length;
  queue->due[slot] = delay_ns == 0 ? 0 : now_ns() + delay_ns;
  queue->next++;
}

static void flush_tap(struct end *end, uint64_t now) {
  struct queue *queue = &end->out;
  for (; !is_empty(queue); queue->first++) {
    uint32_t slot = queue->first % QUEUE_FRAMES;
    if (queue->due[slot] > now) return;
    /* An interface that is down or full drops it. */
    if (write(end->fd, queue->bytes + queue->at[slot] + PREFIX, queue->size[slot] - PREFIX) < 0) errno = 0;
  }
}

static void flush_socket(struct end *end, uint64_t now) {
  struct queue *queue = &end->out;
  end->full = false;
  while (!is_empty(queue)) {
    uint32_t begin = queue->at[queue->first % QUEUE_FRAMES], stop = begin;
    for (uint32_t i = queue->first; i != queue->next; i++) {
      uint32_t slot = i % QUEUE_FRAMES;
      if (queue->due[slot] > now || queue->at[slot] != stop) break;
      stop += queue->size[slot];
    }
    if (stop == begin) return;
    ssize_t sent = send(end->fd, queue->bytes + begin + queue->taken, stop - begin - queue->taken, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno != EAGAIN) exit(0); /* The sidecar is gone. */
      end->full = true;
      return;
    }
    queue->taken += (uint32_t)sent;
    for (uint32_t size; !is_empty(queue) && queue->taken >= (size = queue->size[queue->first % QUEUE_FRAMES]); queue->first++)
      queue->taken -= size;
  }
}

static void flush(struct end *end, uint64_t now) {
  if (is_empty(&end->out)) return;
  if (end->is_socket) flush_socket(end, now);
  else flush_tap(end, now);
}

static void read_tap(struct end *from, struct end *to) {
  uint32_t bytes = 0;
  for (int i = 0; i < TURN && bytes < TURN_BYTES; i++) {
    static uint8_t nowhere[FRAME_MAX];
    uint8_t *at = room(&to->out);
    ssize_t got = read(from->fd, (at == NULL ? nowhere : at) + PREFIX, FRAME_MAX - PREFIX);
    if (got <= 0) return;
    if (at != NULL) enqueue(&to->out, at, (uint32_t)got);
    bytes += (uint32_t)got;
  }
}

static void pass_on(struct end *to, const uint8_t *frame, uint32_t length) {
  if (delay_ns == 0 && !to->is_socket) {
    if (!is_lost() && write(to->fd, frame, length) < 0) errno = 0;
    return;
  }
  uint8_t *at = room(&to->out);
  if (at == NULL) return;
  memcpy(at + PREFIX, frame, length);
  enqueue(&to->out, at, length);
}

static void read_socket(struct end *from, struct end *to) {
  ssize_t got = recv(from->fd, from->input + from->input_size, INPUT - from->input_size, MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN)) exit(0); /* The sidecar is gone. */
  if (got < 0) return;
  uint32_t size = from->input_size + (uint32_t)got, at = 0;
  while (size - at >= PREFIX) {
    uint32_t length;
    memcpy(&length, from->input + at, PREFIX);
    length = ntohl(length);
    if (length > FRAME_MAX - PREFIX) {
      errno = EPROTO;
      fail("a frame of the sidecar");
    }
    if (size - at - PREFIX < length) break;
    pass_on(to, from->input + at + PREFIX, length);
    at += PREFIX + length;
  }
  memmove(from->input, from->input + at, size - at);
  from->input_size = size - at;
}

/* Not persistent: it goes with this process. */
static int open_tap(const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) fail(name);
  return fd;
}

static int open_tap_in(const char *name, const char *namespace) {
  int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = open(namespace, O_RDONLY | O_CLOEXEC);
  if (here < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0) fail(namespace);
  int fd = open_tap(name);
  if (setns(here, CLONE_NEWNET) < 0) fail("setns");
  close(here);
  close(there);
  return fd;
}

static int open_socket(const char *path) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&name, sizeof name) < 0) fail(path);
  return fd;
}

static void begin(struct end *end, int fd, bool is_socket) {
  end->fd = fd;
  end->is_socket = is_socket;
  end->out.bytes = malloc(QUEUE_BYTES);
  end->input = malloc(INPUT);
  if (end->out.bytes == NULL || end->input == NULL) fail("malloc");
}

/* Nanoseconds until the next frame is due, at most `most`. */
static uint64_t soonest(uint64_t now, uint64_t most) {
  for (int i = 0; i < 2; i++) {
    const struct queue *queue = &ends[i].out;
    if (is_empty(queue) || ends[i].full) continue;
    uint64_t due = queue->due[queue->first % QUEUE_FRAMES], left = due > now ? due - now : 0;
    if (left < most) most = left;
  }
  return most;
}

static void run(void) {
  for (;;) {
    struct pollfd polled[3] = {{.fd = 0, .events = POLLIN}};
    for (int i = 0; i < 2; i++) {
      bool held = ends[1 - i].full && !ends[i].is_socket;
      polled[1 + i] = (struct pollfd){.fd = ends[i].fd, .events = (short)((held ? 0 : POLLIN) | (ends[i].full ? POLLOUT : 0))};
    }
    uint64_t wait = soonest(now_ns(), 1000000000);
    struct timespec limit = {.tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000)};
    if (ppoll(polled, 3, &limit, NULL) < 0 && errno != EINTR) fail("ppoll");
    char byte;
    if (polled[0].revents != 0 && read(0, &byte, 1) <= 0) return;
    for (int i = 0; i < 2; i++) {
      if ((polled[1 + i].revents & ~POLLOUT) == 0) continue;
      if (ends[i].is_socket) read_socket(&ends[i], &ends[1 - i]);
      else read_tap(&ends[i], &ends[1 - i]);
    }
    uint64_t now = delay_ns == 0 ? 0 : now_ns();
    for (int i = 0; i < 2; i++) flush(&ends[i], now);
  }
}

int main(int count, char **args) {
  bool to_socket = count >= 4 && strcmp(args[2], "unix") == 0, to_tap = count >= 5 && strcmp(args[2], "tap") == 0;
  if (!to_socket && !to_tap) {
    fprintf(stderr, "cable: see cable.c for what it takes\n");
    return 2;
  }
  int more = to_tap ? 5 : 4;
  if (count >= more + 3) {
    delay_ns = strtoull(args[more], NULL, 10) * 1000;
    loss_ppm = (uint32_t)strtoul(args[more + 1], NULL, 10);
    random_state = strtoull(args[more + 2], NULL, 10) | 1;
  }
  signal(SIGPIPE, SIG_IGN);
  begin(&ends[0], open_tap(args[1]), false);
  begin(&ends[1], to_tap ? open_tap_in(args[3], args[4]) : open_socket(args[3]), to_socket);
  printf("{\"ready\":true}\n");
  fflush(stdout);
  run();
  return 0;
}
