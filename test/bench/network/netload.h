/*
 * What both ends of the network benchmark's load agree on.
 *
 * A TCP connection begins with a byte that says what the server is to do; LIMIT_S bounds everything that waits.
 */
#ifndef NETLOAD_H
#define NETLOAD_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Reads until the end of the stream, then says how many bytes came (u64). */
#define SINK 'k'
/* Writes for as long as somebody takes it. */
#define SOURCE 's'
/* Gives every byte back. */
#define ECHO 'e'
/* After 8 bytes of seed: as SINK, but compares, and says also how many bytes were others (u64). */
#define CHECK 'v'
/* After 8 bytes of seed and 8 of length: writes the bytes of that seed, and ends its direction. */
#define MAKE 'w'
/* Says how many datagrams have come so far (u64) and when that was, in nanoseconds (u64); every byte asks again. */
#define COUNT 'n'

/* A datagram that is counted, and one that asks for a blast of them: 'b' and milliseconds, a u32. */
#define DATA 'd'
#define BLAST 'b'
#define DATAGRAM 64
/* Datagrams a system call. */
#define BATCH 32

#define BUFFER (256 * 1024)
/* Longest blast that a datagram may ask for. */
#define BLAST_MAX_MS 60000
/* How long an end of the load waits beyond what was asked for. */
#define PATIENCE_S 10

static inline uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static inline double now(void) { return (double)now_ns() / 1e9; }

static inline _Noreturn void fail(const char *what) {
  fprintf(stderr, "netload: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* The bytes of a seed: words of SplitMix64 by their number, so that any part of them can be made alone. */
static inline uint64_t word_at(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static inline uint8_t byte_at(uint64_t seed, uint64_t offset) {
  return (uint8_t)(word_at(seed, offset / 8) >> (8 * (offset % 8)));
}

static inline void make_bytes(uint64_t seed, uint64_t offset, uint8_t *into, size_t length) {
  for (size_t i = 0; i < length; i++) into[i] = byte_at(seed, offset + i);
}

static inline uint64_t wrong_bytes(uint64_t seed, uint64_t offset, const uint8_t *bytes, size_t length) {
  uint64_t wrong = 0;
  for (size_t i = 0; i < length; i++) wrong += bytes[i] != byte_at(seed, offset + i);
  return wrong;
}

static inline struct sockaddr_in address_of(const char *address, const char *port) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  if (inet_pton(AF_INET, address, &name.sin_addr) != 1) fail(address);
  return name;
}

/* A batch of equal datagrams of DATA. */
struct blast {
  uint8_t bytes[DATAGRAM];
  struct iovec piece;
  struct mmsghdr messages[BATCH];
};
void blast_begin(struct blast *blast, struct sockaddr_in *to);

_Noreturn void serve(const char *address, const char *port);
_Noreturn void agent(const char *device);

#endif
