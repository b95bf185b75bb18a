/*
 * A small vhost-user back end in C, the peer of the one in TypeScript: one split ring (Virtio 1.2, section 2.7), epoll and eventfd.
 *
 * It does what the other does, no less: every descriptor is checked and translated, event indices are honoured, a turn is 256 chains, the
 * guest hears of them once at its end. The device is that of device.ts: a chain without writable bytes comes straight back, up to SMALL bytes
 * are copied by the processor, more go through a Unix socket.
 *
 *   backend SOCKET
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "vhost-user.h"

#define OFFERED (VERSION_1 | PROTOCOL_FEATURES | EVENT_INDEX | INDIRECT)
#define SIZE_MAX_RING 1024
#define PIECES_MAX (SIZE_MAX_RING + 8)
#define TURN 256
#define SMALL 4096

struct mapped {
  struct region region;
  char *at;
  size_t length;
};

struct chain {
  uint32_t head;
  int readable, count;
  size_t readable_bytes, writable_bytes;
  struct iovec pieces[PIECES_MAX];
};

static struct mapped regions[REGIONS_MAX];
static int region_count;
static struct mapped *last;

static struct {
  uint32_t size;
  uint64_t features;
  struct vring_desc *table;
  struct vring_avail *available;
  struct vring_used *used;
  /* The last words of the two: which chain each side wants to be woken for. */
  volatile uint16_t *used_event, *available_event;
  uint16_t next, used_index, announced;
  int kick, call, error;
  bool enabled;
} ring;

static int echo[2];
static struct chain chain;

static bool holds(const struct mapped *mapped, uint64_t address) {
  return mapped != NULL && address - mapped->region.guest_address < mapped->region.size;
}

/* Where a guest's byte is here, and how many follow it. */
static char *locate(uint64_t address, uint64_t *room) {
  if (!holds(last, address)) {
    last = NULL;
    for (int i = 0; i < region_count; i++)
      if (holds(&regions[i], address)) last = &regions[i];
    if (last == NULL) return NULL;
  }
  uint64_t offset = address - last->region.guest_address;
  *room = last->region.size - offset;
  return last->at + last->region.offset + offset;
}

static void *of_user(uint64_t address, uint64_t length) {
  for (int i = 0; i < region_count; i++) {
    const struct region *region = &regions[i].region;
    if (address >= region->user_address && address + length <= region->user_address + region->size)
      return regions[i].at + region->offset + (address - region->user_address);
  }
  return NULL;
}

static bool add(const struct vring_desc *descriptor) {
  uint64_t address = descriptor->addr, left = descriptor->len, room;
  bool writes = (descriptor->flags & VRING_DESC_F_WRITE) != 0;
  if (!writes && chain.count > chain.readable) return false;
  if (chain.readable_bytes + chain.writable_bytes + left > UINT32_MAX) return false;
  if (writes) chain.writable_bytes += left;
  else chain.readable_bytes += left;
  while (left > 0) {
    char *at = locate(address, &room);
    if (at == NULL || chain.count == PIECES_MAX) return false;
    uint64_t length = left < room ? left : room;
    chain.pieces[chain.count++] = (struct iovec){at, length};
    if (!writes) chain.readable++;
    left -= length;
    address += length;
  }
  return true;
}

/* Reads the chain at `index` of a table. Each descriptor is copied first, as the guest may write it meanwhile. */
static bool walk(const struct vring_desc *table, uint32_t size, uint32_t index, bool nested) {
  for (uint32_t left = size; left > 0; left--) {
    if (index >= size) return false;
    struct vring_desc descriptor = *(const volatile struct vring_desc *)&table[index];
    if (descriptor.flags & VRING_DESC_F_INDIRECT) {
      uint64_t room;
      if (nested || (descriptor.flags & VRING_DESC_F_NEXT) || !(ring.features & INDIRECT)) return false;
      if (descriptor.len == 0 || descriptor.len % sizeof descriptor != 0) return false;
      if (descriptor.len > ring.size * sizeof descriptor) return false;
      const void *inner = locate(descriptor.addr, &room);
      return inner != NULL && room >= descriptor.len &&
             walk(inner, descriptor.len / sizeof descriptor, 0, true);
    }
    if (!add(&descriptor)) return false;
    if (!(descriptor.flags & VRING_DESC_F_NEXT)) return true;
    index = descriptor.next;
  }
  return false;
}

/* What the device does with a chain. Returns how many bytes it wrote. */
static uint32_t serve(void) {
  size_t length = chain.readable_bytes < chain.writable_bytes ? chain.readable_bytes : chain.writable_bytes;
  if (length == 0) return 0;
  if (length > SMALL) {
    if (writev(echo[1], chain.pieces, chain.readable) != (ssize_t)length) fail("writev");
    if (readv(echo[0], chain.pieces + chain.readable, chain.count - chain.readable) != (ssize_t)length)
      fail("readv");
    return length;
  }
  static char small[SMALL];
  size_t done = 0;
  for (int i = 0; i < chain.readable && done < length; i++) {
    size_t part = chain.pieces[i].iov_len < length - done ? chain.pieces[i].iov_len : length - done;
    memcpy(small + done, chain.pieces[i].iov_base, part);
    done += part;
  }
  done = 0;
  for (int i = chain.readable; i < chain.count && done < length; i++) {
    size_t part = chain.pieces[i].iov_len < length - done ? chain.pieces[i].iov_len : length - done;
    memcpy(chain.pieces[i].iov_base, small + done, part);
    done += part;
  }
  return length;
}

static uint16_t available_index(void) { return __atomic_load_n(&ring.available->idx, __ATOMIC_ACQUIRE); }

static void publish(void) {
  if (ring.used_index == ring.announced) return;
  uint16_t before = ring.announced;
  ring.announced = ring.used_index;
  __atomic_store_n(&ring.used->idx, ring.used_index, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  bool wanted;
  if (ring.features & EVENT_INDEX) wanted = vring_need_event(*ring.used_event, ring.used_index, before);
  else wanted = (*(volatile uint16_t *)&ring.available->flags & VRING_AVAIL_F_NO_INTERRUPT) == 0;
  if (wanted && ring.call >= 0) eventfd_write(ring.call, 1);
}

/* Asks for a kick with the next chain. Returns whether one is there already. */
static bool want_kick(void) {
  if (ring.features & EVENT_INDEX) *ring.available_event = ring.next;
  else ring.used->flags = 0;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return available_index() != ring.next;
}

/* One turn. Returns whether the ring was not empty at its end. */
static bool drain(void) {
  if (!ring.enabled || ring.table == NULL) return false;
  if (!(ring.features & EVENT_INDEX)) ring.used->flags = VRING_USED_F_NO_NOTIFY;
  for (int left = TURN; left > 0; left--) {
    uint16_t offered = available_index() - ring.next;
    if (offered == 0 && !want_kick()) return false;
    offered = available_index() - ring.next;
    chain.head = ring.available->ring[ring.next & (ring.size - 1)];
    chain.count = chain.readable = 0;
    chain.readable_bytes = chain.writable_bytes = 0;
    if (offered > ring.size || !walk(ring.table, ring.size, chain.head, false)) {
      ring.enabled = false;
      if (ring.error >= 0) eventfd_write(ring.error, 1);
      return false;
    }
    ring.next++;
    struct vring_used_elem *element = &ring.used->ring[ring.used_index & (ring.size - 1)];
    element->id = chain.head;
    element->len = serve();
    ring.used_index++;
  }
  return true;
}

static void replace(int *slot, int fd) {
  if (*slot >= 0) close(*slot);
  *slot = fd;
}

static void forget_memory(void) {
  for (int i = 0; i < region_count; i++) munmap(regions[i].at, regions[i].length);
  region_count = 0;
  last = NULL;
}

static void stop(void) {
  ring.table = NULL;
  replace(&ring.kick, -1);
}

static void set_memory(const struct message *message, const int *fds, int count) {
  stop();
  forget_memory();
  if (message->memory.count > REGIONS_MAX || (int)message->memory.count != count) exit(1);
  for (int i = 0; i < count; i++) {
    struct region region = message->memory.regions[i];
    size_t length = region.size + region.offset;
    char *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
    if (at == MAP_FAILED) fail("mmap");
    regions[region_count++] = (struct mapped){region, at, length};
    close(fds[i]);
  }
}

static void set_addresses(const struct message *message) {
  ring.table = of_user(message->address.descriptors, sizeof(struct vring_desc) * ring.size);
  ring.available = of_user(message->address.available, 6 + sizeof(uint16_t) * ring.size);
  ring.used = of_user(message->address.used, 6 + sizeof(struct vring_used_elem) * ring.size);
  if (ring.table == NULL || ring.available == NULL || ring.used == NULL) exit(1);
  ring.used_event = &ring.available->ring[ring.size];
  ring.available_event = (uint16_t *)((char *)ring.used + 4 + sizeof(struct vring_used_elem) * ring.size);
  ring.used_index = ring.announced = ring.used->idx;
}

static void answer(int fd, struct message *message, uint64_t word) {
  message->flags = VERSION | REPLY;
  message->size = sizeof word;
  message->word = word;
  send_message(fd, message, NULL, 0);
}

/* The descriptors of a message are taken or closed here. */
static void handle(int poller, int fd, struct message *message, int *fds, int count) {
  int given = count > 0 ? fds[0] : -1;
  bool need_reply = (message->flags & NEED_REPLY) != 0;
  switch (message->request) {
    case GET_FEATURES: answer(fd, message, OFFERED); return;
    case GET_PROTOCOL_FEATURES: answer(fd, message, REPLY_ACK); return;
    case GET_VRING_BASE: {
      stop();
      message->flags = VERSION | REPLY;
      message->state.value = ring.next;
      send_message(fd, message, NULL, 0);
      return;
    }
    case SET_FEATURES: ring.features = message->word; break;
    case SET_OWNER:
    case SET_PROTOCOL_FEATURES: break;
    case SET_MEM_TABLE: set_memory(message, fds, count); break;
    case SET_VRING_NUM:
      if (message->state.value > SIZE_MAX_RING) exit(1);
      ring.size = message->state.value;
      break;
    case SET_VRING_BASE: ring.next = message->state.value; break;
    case SET_VRING_ADDR: set_addresses(message); break;
    case SET_VRING_CALL: replace(&ring.call, given); break;
    case SET_VRING_ERR: replace(&ring.error, given); break;
    case SET_VRING_ENABLE: ring.enabled = message->state.value == 1; break;
    case SET_VRING_KICK: {
      replace(&ring.kick, given);
      struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = given};
      checked(epoll_ctl(poller, EPOLL_CTL_ADD, given, &event), "epoll_ctl");
      break;
    }
    default: exit(1);
  }
  if (need_reply) answer(fd, message, 0);
}

static void serve_front_end(int fd) {
  int poller = checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  struct epoll_event events[8], event = {.events = EPOLLIN, .data.fd = fd};
  checked(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  ring.kick = ring.call = ring.error = -1;
  ring.enabled = false;
  for (bool again = false;;) {
    int count = checked(epoll_wait(poller, events, 8, again ? 0 : -1), "epoll_wait");
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd != fd) continue;
      struct message message;
      int fds[REGIONS_MAX];
      int got = receive_message(fd, &message, fds);
      if (got < 0) goto gone;
      handle(poller, fd, &message, fds, got);
    }
    again = drain(); // whatever woke us: it is a load of one index where there is nothing
    if (ring.table != NULL) publish();
  }
gone:
  stop();
  replace(&ring.call, -1);
  replace(&ring.error, -1);
  forget_memory();
  close(poller);
  close(fd);
}

int main(int count, char **words) {
  if (count != 2) return 2;
  checked(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, echo), "socketpair");
  int listening = checked(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  struct sockaddr_un address = address_of(words[1]);
  checked(bind(listening, (struct sockaddr *)&address, sizeof address), "bind");
  checked(listen(listening, 1), "listen");
  puts("ready");
  fflush(stdout);
  for (;;) serve_front_end(checked(accept4(listening, NULL, NULL, SOCK_CLOEXEC), "accept"));
}
