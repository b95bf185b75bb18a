/*
 * The server's end of the load: one thread, every service on one TCP port, and datagrams on the UDP port of the same number.
 */
#include "netload.h"

struct connection {
  int fd;
  uint8_t service;
  /* Of the seed and the length that follow some services' byte. */
  uint8_t head[16];
  size_t head_size;
  uint64_t seed, length, done, wrong;
  /* An echo that the socket did not take yet. */
  uint8_t kept[64];
  size_t kept_size;
  /* Its client has ended its direction. */
  bool ended;
};

static int loop;
static int datagrams;
static uint64_t counted;
static uint8_t buffer[BUFFER];
static uint8_t zeros[BUFFER];

void blast_begin(struct blast *blast, struct sockaddr_in *to) {
  memset(blast, 0, sizeof *blast);
  blast->bytes[0] = DATA;
  blast->piece = (struct iovec){.iov_base = blast->bytes, .iov_len = DATAGRAM};
  for (int i = 0; i < BATCH; i++) {
    struct msghdr *header = &blast->messages[i].msg_hdr;
    header->msg_iov = &blast->piece;
    header->msg_iovlen = 1;
    header->msg_name = to;
    header->msg_namelen = to == NULL ? 0 : sizeof *to;
  }
}

static void watch(int fd, uint32_t events, struct connection *connection, int how) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  if (epoll_ctl(loop, how, fd, &event) < 0) fail("epoll_ctl");
}

static void drop(struct connection *connection) {
  close(connection->fd);
  free(connection);
}

static void welcome(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) fail("calloc");
    connection->fd = fd;
    watch(fd, EPOLLIN, connection, EPOLL_CTL_ADD);
  }
}

static bool is_over(ssize_t got) { return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR); }

static size_t head_of(uint8_t service) { return service == CHECK ? 8 : service == MAKE ? 16 : 0; }

/* Reads the service and what belongs to it; false as long as it is not all there. */
static bool begin(struct connection *connection) {
  if (connection->service == 0) {
    ssize_t got = recv(connection->fd, &connection->service, 1, 0);
    if (got != 1) {
      if (is_over(got)) drop(connection);
      return false;
    }
  }
  size_t size = head_of(connection->service);
  while (connection->head_size < size) {
    ssize_t got = recv(connection->fd, connection->head + connection->head_size, size - connection->head_size, 0);
    if (got <= 0) {
      if (is_over(got)) drop(connection);
      return false;
    }
    connection->head_size += (size_t)got;
  }
  memcpy(&connection->seed, connection->head, 8);
  memcpy(&connection->length, connection->head + 8, 8);
  if (connection->service == SOURCE || connection->service == MAKE)
    watch(connection->fd, EPOLLOUT, connection, EPOLL_CTL_MOD);
  return true;
}

/* The answer to the end of a SINK or CHECK: a few bytes, which an idle direction always has room for. */
static void answer(struct connection *connection) {
  uint64_t words[2] = {connection->done, connection->wrong};
  size_t size = connection->service == CHECK ? 16 : 8;
  if (send(connection->fd, words, size, MSG_NOSIGNAL) < 0) errno = 0;
  drop(connection);
}

static void take(struct connection *connection) {
  ssize_t got = recv(connection->fd, buffer, sizeof buffer, 0);
  if (got > 0) {
    if (connection->service == CHECK)
      connection->wrong += wrong_bytes(connection->seed, connection->done, buffer, (size_t)got);
    connection->done += (uint64_t)got;
  } else if (got == 0) {
    answer(connection);
  } else if (is_over(got)) {
    drop(connection);
  }
}

static void give(struct connection *connection) {
  const uint8_t *bytes = zeros;
  size_t size = sizeof zeros;
  if (connection->service == MAKE) {
    uint64_t left = connection->length - connection->done;
    size = left < sizeof buffer ? (size_t)left : sizeof buffer;
    make_bytes(connection->seed, connection->done, buffer, size);
    bytes = buffer;
  }
  ssize_t sent = send(connection->fd, bytes, size, MSG_NOSIGNAL);
  if (sent < 0) {
    if (is_over(sent)) drop(connection);
    return;
  }
  connection->done += (uint64_t)sent;
  if (connection->service != MAKE || connection->done < connection->length) return;
  /* The client closes when it has all; what follows is its end. */
  shutdown(connection->fd, SHUT_WR);
  connection->service = SINK;
  watch(connection->fd, EPOLLIN, connection, EPOLL_CTL_MOD);
}

static void echo(struct connection *connection) {
  while (connection->kept_size > 0 || !connection->ended) {
    if (connection->kept_size == 0) {
      ssize_t got = recv(connection->fd, connection->kept, sizeof connection->kept, 0);
      if (got < 0 && !is_over(got)) break;
      if (got <= 0) return drop(connection);
      connection->kept_size = (size_t)got;
    }
    ssize_t sent = send(connection->fd, connection->kept, connection->kept_size, MSG_NOSIGNAL);
    if (sent < 0) {
      if (is_over(sent)) return drop(connection);
      return watch(connection->fd, EPOLLOUT, connection, EPOLL_CTL_MOD);
    }
    connection->kept_size -= (size_t)sent;
    memmove(connection->kept, connection->kept + sent, connection->kept_size);
  }
  watch(connection->fd, EPOLLIN, connection, EPOLL_CTL_MOD);
}

/* Counts what waits in the datagram socket; a blast is served at once and holds up everything else. */
static void take_datagrams(void) {
  static uint8_t bytes[BATCH][DATAGRAM];
  static struct iovec pieces[BATCH];
  static struct sockaddr_in names[BATCH];
  static struct mmsghdr messages[BATCH];
  for (int i = 0; i < BATCH; i++) {
    pieces[i] = (struct iovec){.iov_base = bytes[i], .iov_len = DATAGRAM};
    messages[i].msg_hdr = (struct msghdr){
        .msg_iov = &pieces[i], .msg_iovlen = 1, .msg_name = &names[i], .msg_namelen = sizeof names[i]};
  }
  int got = recvmmsg(datagrams, messages, BATCH, MSG_DONTWAIT, NULL);
  for (int i = 0; i < got; i++) {
    if (bytes[i][0] == DATA) counted++;
    if (bytes[i][0] != BLAST) continue;
    uint32_t ms;
    memcpy(&ms, bytes[i] + 1, 4);
    if (ms > BLAST_MAX_MS) continue;
    struct blast blast;
    blast_begin(&blast, &names[i]);
    for (double end = now() + ms / 1e3; now() < end;) sendmmsg(datagrams, blast.messages, BATCH, 0);
  }
}

static void count(struct connection *connection) {
  ssize_t got = recv(connection->fd, buffer, 1, 0);
  if (got != 1) {
    if (is_over(got)) drop(connection);
    return;
  }
  for (uint64_t before = counted + 1; before != counted;) {
    before = counted;
    take_datagrams();
  }
  uint64_t words[2] = {counted, now_ns()};
  if (send(connection->fd, words, sizeof words, MSG_NOSIGNAL) < 0) drop(connection);
}

static void proceed(struct connection *connection) {
  size_t size = head_of(connection->service);
  if ((connection->service == 0 || connection->head_size < size) && !begin(connection)) return;
  switch (connection->service) {
    case SINK:
    case CHECK:
      return take(connection);
    case SOURCE:
    case MAKE:
      return give(connection);
    case ECHO:
      return echo(connection);
    case COUNT:
      return count(connection);
    default:
      drop(connection);
  }
}

_Noreturn void serve(const char *address, const char *port) {
  struct sockaddr_in name = address_of(address, port);
  loop = epoll_create1(EPOLL_CLOEXEC);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0) fail("bind");
  if (listen(listener, 4096) < 0) fail("listen");
  datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int space = 4 << 20;
  setsockopt(datagrams, SOL_SOCKET, SO_RCVBUFFORCE, &space, sizeof space);
  if (bind(datagrams, (struct sockaddr *)&name, sizeof name) < 0) fail("bind");
  struct connection accepting = {.fd = listener}, receiving = {.fd = datagrams};
  watch(listener, EPOLLIN, &accepting, EPOLL_CTL_ADD);
  watch(datagrams, EPOLLIN, &receiving, EPOLL_CTL_ADD);
  printf("{\"ready\":true}\n");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[64];
    int ready = epoll_wait(loop, events, 64, -1);
    for (int i = 0; i < ready; i++) {
      struct connection *connection = events[i].data.ptr;
      if (connection == &accepting) {
        welcome(listener);
      } else if (connection == &receiving) {
        take_datagrams();
      } else {
        proceed(connection);
      }
    }
  }
}
