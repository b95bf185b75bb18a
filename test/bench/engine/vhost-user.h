/*
 * What driver.c and backend.c share: vhost-user messages (QEMU, docs/interop/vhost-user.rst) and how they are moved.
 */
#ifndef VHOST_USER_H
#define VHOST_USER_H

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum request {
  GET_FEATURES = 1,
  SET_FEATURES = 2,
  SET_OWNER = 3,
  SET_MEM_TABLE = 5,
  SET_VRING_NUM = 8,
  SET_VRING_ADDR = 9,
  SET_VRING_BASE = 10,
  GET_VRING_BASE = 11,
  SET_VRING_KICK = 12,
  SET_VRING_CALL = 13,
  SET_VRING_ERR = 14,
  GET_PROTOCOL_FEATURES = 15,
  SET_PROTOCOL_FEATURES = 16,
  SET_VRING_ENABLE = 18,
};

#define VERSION 1u
#define REPLY 4u
#define NEED_REPLY 8u
#define NO_DESCRIPTOR (1u << 8)
#define REGIONS_MAX 8

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define VERSION_1 FEATURE(32)
#define PROTOCOL_FEATURES FEATURE(30)
#define EVENT_INDEX FEATURE(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT FEATURE(VIRTIO_RING_F_INDIRECT_DESC)
#define REPLY_ACK FEATURE(3)

struct region {
  uint64_t guest_address, size, user_address, offset;
};

struct message {
  uint32_t request, flags, size;
  union {
    uint64_t word;
    struct {
      uint32_t index, value;
    } state;
    struct {
      uint32_t index, flags;
      uint64_t descriptors, used, available, log;
    } address;
    struct {
      uint32_t count, padding;
      struct region regions[REGIONS_MAX];
    } memory;
  };
} __attribute__((packed));

#define HEAD (3 * sizeof(uint32_t))

static inline void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline int checked(int result, const char *what) {
  if (result < 0) fail(what);
  return result;
}

static inline struct sockaddr_un address_of(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    fail(path);
  }
  strcpy(address.sun_path, path);
  return address;
}

static inline void send_message(int fd, const struct message *message, const int *fds, int count) {
  char control[CMSG_SPACE(REGIONS_MAX * sizeof(int))];
  struct iovec iovec = {(void *)message, HEAD + message->size};
  struct msghdr header = {.msg_iov = &iovec, .msg_iovlen = 1};
  if (count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
  }
  if (sendmsg(fd, &header, MSG_NOSIGNAL) != (ssize_t)iovec.iov_len) fail("sendmsg");
}

/* Waits for a whole message. Returns how many descriptors came with it, or -1 where the other side hung up. */
static inline int receive_message(int fd, struct message *message, int fds[REGIONS_MAX]) {
  char control[CMSG_SPACE(REGIONS_MAX * sizeof(int))];
  struct iovec iovec = {message, HEAD};
  struct msghdr header = {
      .msg_iov = &iovec, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(fd, &header, MSG_WAITALL | MSG_CMSG_CLOEXEC);
  if (got != HEAD || message->size > sizeof *message - HEAD) return -1;
  if (message->size > 0 &&
      recv(fd, (char *)message + HEAD, message->size, MSG_WAITALL) != (ssize_t)message->size)
    return -1;
  struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
  if (rights == NULL || rights->cmsg_type != SCM_RIGHTS) return 0;
  int count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  memcpy(fds, CMSG_DATA(rights), count * sizeof(int));
  return count;
}

#endif
