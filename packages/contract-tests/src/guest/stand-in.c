// Stands in for a virtual machine under QEMU: a TAP device on one side, on the other the stream of `-netdev stream`
// (each frame after its length, 32 bits, big-endian). Tests compile it; it runs in a network namespace of its own.
//
//     stand-in SOCKET INTERFACE MAC MTU
//
// It makes the interface, says "ready", and connects to the socket; when that is lost it connects again, as a launcher
// makes QEMU do. It says "joined" each time.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if_arp.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 65536 + 64, BUFFER = 4 * FRAME_MAX, RETRY_MS = 20 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_tap(const char *name, const char *mac, int mtu) {
  struct ifreq request = {0};
  unsigned char *a = (unsigned char *)request.ifr_hwaddr.sa_data;
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  int control = socket(AF_INET, SOCK_DGRAM, 0);
  if (tap < 0 || control < 0) fail("open");
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (ioctl(tap, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", a, a + 1, a + 2, a + 3, a + 4, a + 5) != 6) fail("MAC");
  if (ioctl(control, SIOCSIFHWADDR, &request) < 0) fail("SIOCSIFHWADDR");
  request.ifr_mtu = mtu;
  if (ioctl(control, SIOCSIFMTU, &request) < 0) fail("SIOCSIFMTU");
  close(control);
  return tap;
}

// Connects; waits for whoever is to listen there.
static int join(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct timespec pause = {0, RETRY_MS * 1000000};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  for (;;) {
    int stream = socket(AF_UNIX, SOCK_STREAM, 0);
    if (stream < 0) fail("socket");
    if (connect(stream, (struct sockaddr *)&address, sizeof address) == 0) return stream;
    close(stream);
    nanosleep(&pause, NULL);
  }
}

// Writes all of a frame; returns whether the stream still is one.
static int give(int stream, const unsigned char *frame, size_t length) {
  uint32_t prefix = htonl(length);
  struct iovec parts[2] = {{&prefix, sizeof prefix}, {(void *)frame, length}};
  int count = 2;
  struct iovec *next = parts;
  while (count > 0) {
    ssize_t done = writev(stream, next, count);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return 0;
    while (count > 0 && (size_t)done >= next->iov_len) done -= next->iov_len, next++, count--;
    if (count > 0) next->iov_base = (char *)next->iov_base + done, next->iov_len -= done;
  }
  return 1;
}

// Carries frames until the stream ends.
static void carry(int tap, int stream) {
  static unsigned char in[BUFFER], frame[FRAME_MAX];
  size_t held = 0;
  struct pollfd fds[2] = {{tap, POLLIN, 0}, {stream, POLLIN, 0}};
  for (;;) {
    if (poll(fds, 2, -1) < 0 && errno != EINTR) fail("poll");
    if (fds[0].revents) {
      ssize_t length = read(tap, frame, sizeof frame);
      if (length > 0 && !give(stream, frame, length)) return;
    }
    if (!fds[1].revents) continue;
    ssize_t got = read(stream, in + held, sizeof in - held);
    if (got <= 0) return;
    held += got;
    size_t at = 0;
    while (held - at >= 4) {
      uint32_t length;
      memcpy(&length, in + at, 4);
      length = ntohl(length);
      if (length > FRAME_MAX) return;
      if (held - at - 4 < length) break;
      if (write(tap, in + at + 4, length) < 0 && errno != EINVAL && errno != EIO && errno != EAGAIN) fail("write");
      at += 4 + length;
    }
    held -= at;
    memmove(in, in + at, held);
  }
}

int main(int count, char **words) {
  if (count != 5) return 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  setvbuf(stdout, NULL, _IOLBF, 0);
  int tap = open_tap(words[2], words[3], atoi(words[4]));
  puts("ready");
  for (;;) {
    int stream = join(words[1]);
    puts("joined");
    carry(tap, stream);
    close(stream);
  }
}
