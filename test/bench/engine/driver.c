/*
 * The guest's side for both back ends: the front end of the protocol and the driver of one split ring (Virtio 1.2, section 2.7).
 *
 *   driver SOCKET SIZE CHAINS READABLE WRITABLE BYTES INDIRECT WARM-MS RUN-MS
 *
 * A ring of SIZE with at most CHAINS (a power of two) on their way, each of READABLE and WRITABLE pieces of BYTES. As a guest does, it writes every
 * descriptor anew, offers all chains that are here, kicks if it is asked to, and sleeps until it is called when nothing has come back. Everything that
 * comes back is checked for its place and length. Prints: chains, seconds, and of these the seconds in which it waited for the device, which tell
 * whether the driver is what limits both.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#include "vhost-user.h"

#define GUEST_BASE (UINT64_C(4) << 30)
#define USER_BASE UINT64_C(0x500000000000)
#define PAGE UINT64_C(4096)
#define PATIENCE_MS 5000

static struct {
  uint32_t size, chains, readable, writable, bytes;
  bool indirect;
  int warm_ms, run_ms;
} wish;

static char *memory;
static uint64_t memory_used;
static struct vring_desc *table;
static struct vring_avail *available;
static struct vring_used *used;
/* The last words of the two: which chain each side wants to be woken for. */
static volatile uint16_t *used_event, *available_event;
static int kick, call;
static uint16_t offered, taken;
static double waited;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

/* Whole pages, so that no two parts share one. */
static void *allocate(uint64_t length) {
  void *at = memory + memory_used;
  memory_used += (length + PAGE - 1) / PAGE * PAGE;
  return at;
}

static uint64_t guest(const void *at) { return GUEST_BASE + ((const char *)at - memory); }
static uint64_t user(const void *at) { return USER_BASE + ((const char *)at - memory); }

static uint32_t pieces(void) { return wish.readable + wish.writable; }
static uint32_t head_of(uint32_t chain) { return wish.indirect ? chain : chain * pieces(); }

static char *buffers;
static struct vring_desc *tables;
static char *piece_at(uint32_t chain, uint32_t piece) {
  return buffers + ((uint64_t)chain * pieces() + piece) * wish.bytes;
}

static void describe(struct vring_desc *into, uint32_t first, uint32_t chain) {
  for (uint32_t piece = 0; piece < pieces(); piece++) {
    bool last = piece + 1 == pieces();
    into[piece] = (struct vring_desc){
        .addr = guest(piece_at(chain, piece)),
        .len = wish.bytes,
        .flags = (piece < wish.readable ? 0 : VRING_DESC_F_WRITE) | (last ? 0 : VRING_DESC_F_NEXT),
        .next = last ? 0 : first + piece + 1,
    };
  }
}

static void write_chain(uint32_t chain) {
  uint32_t head = head_of(chain);
  if (!wish.indirect) return describe(&table[head], head, chain);
  struct vring_desc *inner = &tables[chain * pieces()];
  describe(inner, 0, chain);
  table[head] = (struct vring_desc){
      .addr = guest(inner), .len = sizeof *inner * pieces(), .flags = VRING_DESC_F_INDIRECT};
}

static int make_memory(void) {
  uint64_t payload = (uint64_t)wish.chains * pieces() * wish.bytes;
  uint64_t length = payload + (uint64_t)wish.chains * pieces() * sizeof *tables + 64 * PAGE;
  int fd = checked(memfd_create("guest", MFD_ALLOW_SEALING | MFD_CLOEXEC), "memfd_create");
  checked(ftruncate(fd, length), "ftruncate");
  checked(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), "fcntl");
  memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (memory == MAP_FAILED) fail("mmap");
  return fd;
}

static void make_ring(void) {
  table = allocate(sizeof *table * wish.size);
  available = allocate(6 + 2 * wish.size);
  used = allocate(6 + 8 * wish.size);
  used_event = &available->ring[wish.size];
  available_event = (uint16_t *)((char *)used + 4 + 8 * wish.size);
  buffers = allocate((uint64_t)wish.chains * pieces() * wish.bytes);
  tables = allocate((uint64_t)wish.chains * pieces() * sizeof *tables);
  for (uint32_t chain = 0; chain < wish.chains; chain++)
    for (uint32_t piece = 0; piece < wish.readable; piece++)
      for (uint32_t i = 0; i < wish.bytes; i++) piece_at(chain, piece)[i] = chain + piece + i;
}

static void say(int fd, uint32_t request, uint32_t size, struct message *body, int given) {
  body->request = request;
  body->flags = VERSION;
  body->size = size;
  send_message(fd, body, &given, given < 0 ? 0 : 1);
}

static uint64_t ask(int fd, uint32_t request, struct message *body, uint32_t size, int given) {
  int fds[REGIONS_MAX];
  body->request = request;
  body->flags = VERSION | NEED_REPLY;
  body->size = size;
  send_message(fd, body, &given, given < 0 ? 0 : 1);
  if (receive_message(fd, body, fds) != 0 || body->request != request) {
    errno = EPROTO;
    fail("the back end's answer");
  }
  return body->word;
}

/* From connect to a ring that runs, in the order of QEMU. */
static int start(const char *path, int guest_memory) {
  int fd = checked(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  struct sockaddr_un address = address_of(path);
  checked(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
  struct message body;
  uint64_t wanted = VERSION_1 | PROTOCOL_FEATURES | EVENT_INDEX | INDIRECT;
  if ((ask(fd, GET_FEATURES, &body, 0, -1) & wanted) != wanted) {
    errno = EPROTO;
    fail("the back end's features");
  }
  ask(fd, GET_PROTOCOL_FEATURES, &body, 0, -1);
  body.word = REPLY_ACK;
  say(fd, SET_PROTOCOL_FEATURES, 8, &body, -1);
  say(fd, SET_OWNER, 0, &body, -1);
  body.word = wanted;
  say(fd, SET_FEATURES, 8, &body, -1);
  body.memory.count = 1;
  body.memory.padding = 0;
  body.memory.regions[0] = (struct region){GUEST_BASE, memory_used, USER_BASE, 0};
  if (ask(fd, SET_MEM_TABLE, &body, 8 + sizeof(struct region), guest_memory) != 0) {
    errno = EPROTO;
    fail("SET_MEM_TABLE");
  }
  body.state.index = 0;
  body.state.value = wish.size;
  say(fd, SET_VRING_NUM, 8, &body, -1);
  body.state.value = 0;
  say(fd, SET_VRING_BASE, 8, &body, -1);
  body.address.index = body.address.flags = 0;
  body.address.descriptors = user(table);
  body.address.used = user(used);
  body.address.available = user(available);
  body.address.log = 0;
  say(fd, SET_VRING_ADDR, 40, &body, -1);
  body.word = 0;
  say(fd, SET_VRING_CALL, 8, &body, call);
  say(fd, SET_VRING_KICK, 8, &body, kick);
  body.state.index = 0;
  body.state.value = 1;
  say(fd, SET_VRING_ENABLE, 8, &body, -1);
  return fd;
}

static uint16_t used_index(void) { return __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE); }

/* Offers every chain that is here, and kicks if the device wants it. */
static void offer(void) {
  uint16_t before = offered;
  for (; (uint16_t)(offered - taken) < wish.chains; offered++) {
    uint32_t chain = offered % wish.chains;
    write_chain(chain);
    available->ring[offered & (wish.size - 1)] = head_of(chain);
  }
  if (offered == before) return;
  __atomic_store_n(&available->idx, offered, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (vring_need_event(*available_event, offered, before)) eventfd_write(kick, 1);
}

/* Waits until something has come back. */
static void wait_for_used(void) {
  *used_event = taken;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  while (used_index() == taken) {
    struct pollfd wanted = {.fd = call, .events = POLLIN};
    eventfd_t count;
    if (checked(poll(&wanted, 1, PATIENCE_MS), "poll") == 0) {
      errno = ETIMEDOUT;
      fail("waiting for the back end");
    }
    eventfd_read(call, &count);
  }
}

/* Takes what came back, each checked for its place and its length. Returns how many. */
static uint32_t collect(void) {
  uint16_t end = used_index();
  uint32_t count = 0;
  for (; taken != end; taken++, count++) {
    const struct vring_used_elem *element = &used->ring[taken & (wish.size - 1)];
    if (element->id != head_of(taken % wish.chains) || element->len != wish.writable * wish.bytes) {
      fprintf(stderr, "chain %u came back with %u bytes where %u was expected with %u\n", element->id,
              element->len, head_of(taken % wish.chains), wish.writable * wish.bytes);
      exit(1);
    }
  }
  return count;
}

/* Every chain once, and whether its bytes were copied. */
static void verify(void) {
  offer();
  for (uint32_t left = wish.chains; left > 0; left -= collect()) wait_for_used();
  if (wish.writable == 0) return;
  for (uint32_t chain = 0; chain < wish.chains; chain++) {
    if (memcmp(piece_at(chain, 0), piece_at(chain, wish.readable), (size_t)wish.readable * wish.bytes) != 0) {
      fprintf(stderr, "chain %u came back with other bytes than it had\n", chain);
      exit(1);
    }
  }
}

static uint64_t run(int milliseconds) {
  double end = now() + milliseconds / 1e3;
  uint64_t count = 0;
  do {
    offer();
    if (used_index() == taken) {
      double began = now();
      wait_for_used();
      waited += now() - began;
    }
    count += collect();
  } while (now() < end);
  return count;
}

int main(int count, char **words) {
  if (count != 10) return 2;
  uint32_t numbers[8];
  for (int i = 0; i < 8; i++) numbers[i] = strtoul(words[2 + i], NULL, 10);
  wish.size = numbers[0];
  wish.chains = numbers[1];
  wish.readable = numbers[2];
  wish.writable = numbers[3];
  wish.bytes = numbers[4];
  wish.indirect = numbers[5] == 1;
  wish.warm_ms = numbers[6];
  wish.run_ms = numbers[7];
  if (wish.writable != 0 && wish.writable != wish.readable) return 2;
  if (wish.chains * (wish.indirect ? 1 : pieces()) > wish.size) return 2;
  kick = checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
  call = checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
  int guest_memory = make_memory();
  make_ring();
  start(words[1], guest_memory);
  verify();
  run(wish.warm_ms);
  waited = 0;
  double began = now();
  uint64_t chains = run(wish.run_ms);
  printf("{\"chains\":%lu,\"seconds\":%.6f,\"waitSeconds\":%.6f}\n", chains, now() - began, waited);
}
