/*
 * The guest's kernel for both virtiofs servers: the front end of vhost-user, the driver of a request queue (Virtio 1.2, section 5.11), and requests of
 * FUSE (include/uapi/linux/fuse.h) as Linux sends them.
 *
 *   fuse-driver SOCKET SHARE LOAD DEPTH MS
 *
 * SHARE is the name of the shared directory below the root, or "." where it is the root. It has a file `big` of 64 MiB, of which byte n is n * 31 mod
 * 251, a directory `tree` with 1000 files `f0` …, and `scratch`. LOAD is one of the table below; DEPTH requests are under way at a time. Every answer is checked; what
 * is read is compared once, before the time is taken. Prints requests and seconds as JSON; "all" are also the
 * requests before the time that is taken, in which the server gets warm.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#include "../engine/vhost-user.h"

#define GUEST_BASE (UINT64_C(4) << 30)
#define USER_BASE UINT64_C(0x500000000000)
#define PAGE UINT64_C(4096)
#define PATIENCE_MS 10000
#define QUEUES 2
#define REQUESTS 1
#define RING 256
#define SLOTS 32
/* Descriptors of a slot: request, its data, answer, its data. */
#define PARTS 4
#define DATA_MAX (1u << 20)
#define BIG (64u << 20)
#define FILES 1000
#define SMALL 4096u
/* Not counted: a server lives for days, and compiles what it does often at its beginning. */
#define WARM_SECONDS 2.0

struct ring {
  struct vring_desc *table;
  struct vring_avail *available;
  struct vring_used *used;
  int kick, call;
  uint16_t offered, taken;
};

/* One request under way. */
struct slot {
  char *request, *answer, *data;
  uint32_t request_length, data_out, answer_length, data_in;
  /* Of the load: which step of its little program comes next, and what it needs for that. */
  int step;
  uint64_t node, handle, offset;
  uint32_t number;
};

static char *memory;
static uint64_t memory_used;
static struct ring rings[QUEUES];
static struct slot slots[SLOTS];
static uint64_t unique;
static uint64_t share_node, tree_node, scratch_node, big_node, big_handle, scratch_handle;
static uint64_t file_nodes[FILES];
static uint64_t random_state = 88172645463325252u;
static uint64_t answered;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

/* xorshift64: the same sequence for both servers. */
static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

static void *allocate(uint64_t length) {
  void *at = memory + memory_used;
  memory_used += (length + PAGE - 1) / PAGE * PAGE;
  return at;
}

static uint64_t guest(const void *at) { return GUEST_BASE + ((const char *)at - memory); }
static uint64_t user(const void *at) { return USER_BASE + ((const char *)at - memory); }

static int make_memory(void) {
  uint64_t length = (uint64_t)SLOTS * (DATA_MAX + 4 * PAGE) + 64 * PAGE;
  int fd = checked(memfd_create("guest", MFD_ALLOW_SEALING | MFD_CLOEXEC), "memfd_create");
  checked(ftruncate(fd, length), "ftruncate");
  checked(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), "fcntl");
  memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (memory == MAP_FAILED) fail("mmap");
  for (int i = 0; i < QUEUES; i++) {
    rings[i].table = allocate(sizeof(struct vring_desc) * RING);
    rings[i].available = allocate(6 + 2 * RING);
    rings[i].used = allocate(6 + 8 * RING);
    rings[i].kick = checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
    rings[i].call = checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
  }
  for (int i = 0; i < SLOTS; i++) {
    slots[i].request = allocate(PAGE);
    slots[i].answer = allocate(PAGE);
    slots[i].data = allocate(DATA_MAX);
  }
  return fd;
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

static void start_queue(int fd, uint32_t index) {
  struct ring *ring = &rings[index];
  struct message body;
  body.state.index = index;
  body.state.value = RING;
  say(fd, SET_VRING_NUM, 8, &body, -1);
  body.state.value = 0;
  say(fd, SET_VRING_BASE, 8, &body, -1);
  body.address.index = index;
  body.address.flags = 0;
  body.address.descriptors = user(ring->table);
  body.address.used = user(ring->used);
  body.address.available = user(ring->available);
  body.address.log = 0;
  say(fd, SET_VRING_ADDR, 40, &body, -1);
  body.word = index;
  say(fd, SET_VRING_CALL, 8, &body, ring->call);
  body.word = index;
  say(fd, SET_VRING_KICK, 8, &body, ring->kick);
  body.state.index = index;
  body.state.value = 1;
  say(fd, SET_VRING_ENABLE, 8, &body, -1);
}

/* From connect to queues that run, in the order of QEMU. */
static void start(const char *path, int guest_memory) {
  int fd = checked(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  struct sockaddr_un address = address_of(path);
  checked(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
  struct message body;
  uint64_t wanted = VERSION_1 | PROTOCOL_FEATURES | EVENT_INDEX;
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
  for (uint32_t i = 0; i < QUEUES; i++) start_queue(fd, i);
}

/* Puts the slot's request into the ring; `flush` shows it. */
static void offer(struct slot *slot) {
  struct ring *ring = &rings[REQUESTS];
  uint32_t head = (slot - slots) * PARTS, last = head;
  struct {
    char *at;
    uint32_t length, flags;
  } parts[PARTS] = {
      {slot->request, slot->request_length, 0},
      {slot->data, slot->data_out, 0},
      {slot->answer, slot->answer_length, VRING_DESC_F_WRITE},
      {slot->data, slot->data_in, VRING_DESC_F_WRITE},
  };
  uint32_t at = head;
  for (int i = 0; i < PARTS; i++) {
    if (parts[i].length == 0) continue;
    ring->table[at] = (struct vring_desc){.addr = guest(parts[i].at),
                                          .len = parts[i].length,
                                          .flags = parts[i].flags | VRING_DESC_F_NEXT,
                                          .next = at + 1};
    last = at++;
  }
  ring->table[last].flags &= ~VRING_DESC_F_NEXT;
  ((struct fuse_in_header *)slot->request)->len = slot->request_length + slot->data_out;
  ring->available->ring[ring->offered++ & (RING - 1)] = head;
}

static void flush(void) {
  struct ring *ring = &rings[REQUESTS];
  uint16_t before = ring->available->idx;
  if (before == ring->offered) return;
  __atomic_store_n(&ring->available->idx, ring->offered, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  uint16_t event = *(volatile uint16_t *)((char *)ring->used + 4 + 8 * RING);
  if (vring_need_event(event, ring->offered, before)) eventfd_write(ring->kick, 1);
}

static uint16_t used_index(void) { return __atomic_load_n(&rings[REQUESTS].used->idx, __ATOMIC_ACQUIRE); }

/* Shows what was offered, where there is no answer to take first, and waits for the next one; returns its slot. */
static struct slot *answer(void) {
  struct ring *ring = &rings[REQUESTS];
  if (used_index() == ring->taken) flush();
  *(volatile uint16_t *)&ring->available->ring[RING] = ring->taken;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  while (used_index() == ring->taken) {
    struct pollfd wanted = {.fd = ring->call, .events = POLLIN};
    eventfd_t count;
    if (checked(poll(&wanted, 1, PATIENCE_MS), "poll") == 0) {
      errno = ETIMEDOUT;
      fail("waiting for the server");
    }
    eventfd_read(ring->call, &count);
  }
  return &slots[ring->used->ring[ring->taken++ & (RING - 1)].id / PARTS];
}

/* Begins a request: the header; arguments follow at the returned place. */
static void *request(struct slot *slot, uint32_t opcode, uint64_t node, uint32_t arguments, uint32_t answers) {
  struct fuse_in_header *header = (void *)slot->request;
  *header = (struct fuse_in_header){.len = sizeof *header + arguments, .opcode = opcode, .unique = ++unique, .nodeid = node};
  slot->request_length = header->len;
  slot->data_out = slot->data_in = 0;
  slot->answer_length = sizeof(struct fuse_out_header) + answers;
  struct fuse_out_header *out = (void *)slot->answer;
  out->unique = 0;
  memset(header + 1, 0, arguments);
  return header + 1;
}

static void *named(struct slot *slot, uint32_t opcode, uint64_t node, uint32_t arguments, const char *name, uint32_t answers) {
  char *at = request(slot, opcode, node, arguments + strlen(name) + 1, answers);
  strcpy(at + arguments, name);
  return at;
}

static void *result(struct slot *slot) {
  struct fuse_out_header *header = (void *)slot->answer;
  const struct fuse_in_header *asked = (void *)slot->request;
  if (asked->opcode == FUSE_FORGET || asked->opcode == FUSE_BATCH_FORGET) return header + 1;
  if (header->error != 0 || header->unique != asked->unique) {
    fprintf(stderr, "request %u of node %lu: %s\n", asked->opcode, (unsigned long)asked->nodeid, strerror(-header->error));
    exit(1);
  }
  return header + 1;
}

/* One request, waited for. */
static void *now_do(struct slot *slot) {
  offer(slot);
  return result(answer());
}

static uint64_t look_up(uint64_t parent, const char *name) {
  named(&slots[0], FUSE_LOOKUP, parent, 0, name, sizeof(struct fuse_entry_out));
  return ((struct fuse_entry_out *)now_do(&slots[0]))->nodeid;
}

static uint64_t open_file(uint64_t node, uint32_t flags) {
  struct fuse_open_in *in = request(&slots[0], FUSE_OPEN, node, sizeof *in, sizeof(struct fuse_open_out));
  in->flags = flags;
  return ((struct fuse_open_out *)now_do(&slots[0]))->fh;
}

static void initialize(void) {
  struct fuse_init_in *in = request(&slots[0], FUSE_INIT, 0, sizeof *in, sizeof(struct fuse_init_out));
  in->major = 7;
  in->minor = 31;
  in->max_readahead = 1 << 20;
  in->flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_ATOMIC_O_TRUNC | FUSE_HANDLE_KILLPRIV;
  struct fuse_init_out *out = now_do(&slots[0]);
  if (out->major != 7 || out->max_write < DATA_MAX) {
    fprintf(stderr, "the server writes at most %u bytes\n", out->max_write);
    exit(1);
  }
}

static void read_from(struct slot *slot, uint64_t offset, uint32_t length) {
  struct fuse_read_in *in = request(slot, FUSE_READ, big_node, sizeof *in, 0);
  *in = (struct fuse_read_in){.fh = big_handle, .offset = offset, .size = length};
  slot->offset = offset;
  slot->data_in = length;
}

static void check_bytes(struct slot *slot, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    if ((unsigned char)slot->data[i] == (slot->offset + i) * 31 % 251) continue;
    fprintf(stderr, "byte %lu of the file is another one\n", (unsigned long)(slot->offset + i));
    exit(1);
  }
}

/* Loads: each makes the slot's next request, and returns false where that was the end of one round. */

static bool read_small(struct slot *slot) {
  read_from(slot, next_random() % (BIG / SMALL) * SMALL, SMALL);
  return true;
}

static bool read_large(struct slot *slot) {
  read_from(slot, next_random() % (BIG / DATA_MAX) * DATA_MAX, DATA_MAX);
  return true;
}

static void write_to(struct slot *slot, uint32_t length) {
  struct fuse_write_in *in = request(slot, FUSE_WRITE, scratch_node, sizeof *in, sizeof(struct fuse_write_out));
  *in = (struct fuse_write_in){.fh = scratch_handle, .offset = next_random() % (BIG / length) * length, .size = length};
  slot->data_out = length;
}

static bool write_small(struct slot *slot) { return write_to(slot, SMALL), true; }
static bool write_large(struct slot *slot) { return write_to(slot, DATA_MAX), true; }

static bool get_attributes(struct slot *slot) {
  request(slot, FUSE_GETATTR, file_nodes[next_random() % FILES], sizeof(struct fuse_getattr_in), sizeof(struct fuse_attr_out));
  return true;
}

/* A file that the guest did not know, and forgets. */
static bool look_up_and_forget(struct slot *slot) {
  char name[16];
  switch (slot->step++) {
    case 0:
      snprintf(name, sizeof name, "f%u", (unsigned)(next_random() % FILES));
      named(slot, FUSE_LOOKUP, tree_node, 0, name, sizeof(struct fuse_entry_out));
      return true;
    default: {
      uint64_t node = ((struct fuse_entry_out *)result(slot))->nodeid;
      struct fuse_forget_in *in = request(slot, FUSE_FORGET, node, sizeof *in, 0);
      in->nlookup = 1;
      slot->answer_length = 0;
      slot->step = 0;
      return false;
    }
  }
}

/* A file's whole life: create, write, release, unlink, forget. */
static bool create_and_remove(struct slot *slot) {
  char name[32];
  snprintf(name, sizeof name, "new-%u", (unsigned)(slot - slots));
  switch (slot->step++) {
    case 0: {
      struct fuse_create_in *in = named(slot, FUSE_CREATE, tree_node, sizeof *in, name, sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out));
      in->flags = O_WRONLY | O_CREAT | O_EXCL;
      in->mode = S_IFREG | 0644;
      return true;
    }
    case 1: {
      struct fuse_entry_out *entry = result(slot);
      slot->node = entry->nodeid;
      slot->handle = ((struct fuse_open_out *)(entry + 1))->fh;
      struct fuse_write_in *in = request(slot, FUSE_WRITE, slot->node, sizeof *in, sizeof(struct fuse_write_out));
      *in = (struct fuse_write_in){.fh = slot->handle, .size = SMALL};
      slot->data_out = SMALL;
      return true;
    }
    case 2: {
      struct fuse_release_in *in = request(slot, FUSE_RELEASE, slot->node, sizeof *in, 0);
      in->fh = slot->handle;
      return true;
    }
    case 3:
      named(slot, FUSE_UNLINK, tree_node, 0, name, 0);
      return true;
    default: {
      struct fuse_forget_in *in = request(slot, FUSE_FORGET, slot->node, sizeof *in, 0);
      in->nlookup = 1;
      slot->answer_length = 0;
      slot->step = 0;
      return false;
    }
  }
}

/* A whole directory with the attributes of its files, which are forgotten in one message. */
static bool list(struct slot *slot) {
  if (slot->step == 0) {
    struct fuse_open_in *in = request(slot, FUSE_OPENDIR, tree_node, sizeof *in, sizeof(struct fuse_open_out));
    in->flags = O_RDONLY | O_DIRECTORY;
    slot->step = 1;
    slot->offset = 0;
    return true;
  }
  if (slot->step == 1) slot->handle = ((struct fuse_open_out *)result(slot))->fh;
  if (slot->step == 2) {
    const struct fuse_out_header *header = (void *)slot->answer;
    uint32_t length = header->len - sizeof *header;
    struct fuse_forget_one forget[64];
    uint32_t count = 0;
    for (uint32_t at = 0; at < length;) {
      struct fuse_direntplus *entry = (void *)(slot->data + at);
      slot->offset = entry->dirent.off;
      if (entry->entry_out.nodeid != 0 && count < 64) forget[count++] = (struct fuse_forget_one){entry->entry_out.nodeid, 1};
      at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + entry->dirent.namelen);
    }
    if (length == 0) {
      struct fuse_release_in *in = request(slot, FUSE_RELEASEDIR, tree_node, sizeof *in, 0);
      in->fh = slot->handle;
      slot->step = 0;
      return false;
    }
    struct fuse_batch_forget_in *in = request(slot, FUSE_BATCH_FORGET, 0, sizeof *in + count * sizeof *forget, 0);
    in->count = count;
    memcpy(in + 1, forget, count * sizeof *forget);
    slot->answer_length = 0;
    slot->step = 3;
    return true;
  }
  struct fuse_read_in *in = request(slot, FUSE_READDIRPLUS, tree_node, sizeof *in, 0);
  *in = (struct fuse_read_in){.fh = slot->handle, .offset = slot->offset, .size = SMALL};
  slot->data_in = SMALL;
  slot->step = 2;
  return true;
}

static const struct load {
  const char *name;
  bool (*next)(struct slot *);
} loads[] = {
    {"read-4k", read_small},     {"read-1m", read_large}, {"write-4k", write_small},         {"write-1m", write_large},
    {"getattr", get_attributes}, {"lookup", look_up_and_forget}, {"create", create_and_remove}, {"list", list},
};

static void prepare(const char *share) {
  initialize();
  share_node = strcmp(share, ".") == 0 ? FUSE_ROOT_ID : look_up(FUSE_ROOT_ID, share);
  tree_node = look_up(share_node, "tree");
  scratch_node = look_up(share_node, "scratch");
  scratch_handle = open_file(scratch_node, O_RDWR);
  big_node = look_up(share_node, "big");
  big_handle = open_file(big_node, O_RDONLY);
  for (uint32_t i = 0; i < FILES; i++) {
    char name[16];
    snprintf(name, sizeof name, "f%u", i);
    file_nodes[i] = look_up(tree_node, name);
  }
  for (uint64_t offset = 0; offset < BIG; offset += 16 * DATA_MAX) {
    read_from(&slots[0], offset, DATA_MAX);
    now_do(&slots[0]);
    check_bytes(&slots[0], DATA_MAX);
  }
}

/* Keeps `depth` requests under way for so long. Only those that were answered within it count. */
static double run(const struct load *load, uint32_t depth, double seconds) {
  double began = now(), end = began + seconds;
  bool over = false;
  answered = 0;
  for (uint32_t i = 0; i < depth; i++) {
    slots[i].step = 0;
    load->next(&slots[i]);
    offer(&slots[i]);
  }
  for (uint32_t under_way = depth; under_way > 0;) {
    struct slot *slot = answer();
    result(slot);
    answered++;
    /* A load that ends between its rounds leaves nothing behind. */
    bool between = slot->step == 0;
    if ((answered & 15) == 0) over = over || now() >= end;
    if (over && between) {
      under_way--;
      continue;
    }
    load->next(slot);
    offer(slot);
  }
  return now() - began;
}

int main(int count, char **words) {
  if (count != 6) return 2;
  uint32_t depth = strtoul(words[4], NULL, 10);
  const struct load *load = NULL;
  for (size_t i = 0; i < sizeof loads / sizeof *loads; i++)
    if (strcmp(loads[i].name, words[3]) == 0) load = &loads[i];
  if (load == NULL || depth < 1 || depth > SLOTS) return 2;
  int guest_memory = make_memory();
  start(words[1], guest_memory);
  prepare(words[2]);
  run(load, depth, WARM_SECONDS);
  uint64_t before = answered;
  double seconds = run(load, depth, strtoul(words[5], NULL, 10) / 1e3);
  printf("{\"requests\":%lu,\"all\":%lu,\"seconds\":%.6f}\n", (unsigned long)answered, (unsigned long)(before + answered), seconds);
  fflush(stdout);
  /* The server lives as long as its guest, and its processor time with it. */
  while (getchar() != EOF) continue;
  return 0;
}
