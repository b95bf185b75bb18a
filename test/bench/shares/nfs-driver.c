/*
 * Calls a second of an NFSv3 server, by libnfs and without a kernel: nfs-driver URL WITHIN LOAD DEPTH MILLISECONDS.
 *
 * In the directory WITHIN of the export are "big" and "scratch" of 64 MiB, and "tree" with the files f0 to f999. Keeps DEPTH calls under way, then prints
 * {"requests", "all", "seconds"} on one line: "all" are also those before the time that is taken, in which the server gets warm.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nfsc/libnfs.h>
#include <nfsc/libnfs-raw.h>
#include <nfsc/libnfs-raw-nfs.h>

/* Not counted: a server lives for days, and compiles what it does often at its beginning. */
#define WARM_SECONDS 2.0

enum { MIB = 1024 * 1024, SMALL = 4096, BIG = 64, FILES = 1000, STRIDE = 7919 };

/* libnfs has these and does not declare them. */
struct nfs_fh {
  int len;
  char *val;
};
const struct nfs_fh *nfs_get_rootfh(struct nfs_context *);

struct handle {
  struct nfs_fh3 fh;
  char bytes[64];
};

static struct rpc_context *rpc;
static struct handle big, scratch, tree;
static char data[MIB];
static int under_way, failed;
static uint64_t requests, sequence;
static cookie3 cookie;

static void die(const char *what) {
  fprintf(stderr, "nfs-driver: %s\n", what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void serve(void) {
  struct pollfd p = {rpc_get_fd(rpc), (short)rpc_which_events(rpc), 0};
  if (poll(&p, 1, 10000) <= 0) die("the server does not answer");
  if (rpc_service(rpc, p.revents) < 0) die(rpc_get_error(rpc));
}

static void keep(struct handle *to, const char *bytes, unsigned length) {
  if (length > sizeof to->bytes) die("a handle is too long");
  memcpy(to->bytes, bytes, length);
  to->fh.data.data_len = length;
  to->fh.data.data_val = to->bytes;
}

static void looked(struct rpc_context *r, int status, void *result, void *into) {
  LOOKUP3res *found = result;
  (void)r;
  under_way--;
  if (status || found->status) failed = 1;
  else keep(into, found->LOOKUP3res_u.resok.object.data.data_val, found->LOOKUP3res_u.resok.object.data.data_len);
}

static void lookup(struct handle *parent, char *name, struct handle *into) {
  LOOKUP3args args = {{parent->fh, name}};
  under_way++;
  rpc_nfs3_lookup_async(rpc, looked, &args, into);
  while (under_way) serve();
  if (failed) die("a file of the driver's is missing");
}

/* The first word of every result is its status. */
static void done(struct rpc_context *r, int status, void *result, void *unused) {
  (void)r;
  (void)unused;
  under_way--;
  requests++;
  if (status || *(int *)result) failed = 1;
}

static void listed(struct rpc_context *r, int status, void *result, void *unused) {
  READDIRPLUS3res *found = result;
  done(r, status, result, unused);
  if (failed) return;
  cookie = 0;
  dirlistplus3 *list = &found->READDIRPLUS3res_u.resok.reply;
  for (entryplus3 *e = list->entries; e && !list->eof; e = e->nextentry) cookie = e->cookie;
}

static void read_at(uint64_t n, unsigned size) {
  READ3args args = {big.fh, (n * STRIDE % (BIG * (MIB / size))) * size, size};
  rpc_nfs3_read_async(rpc, done, &args, NULL);
}

static void write_at(uint64_t n, unsigned size) {
  WRITE3args args = {scratch.fh, (n * STRIDE % (BIG * (MIB / size))) * size, size, UNSTABLE, {size, data}};
  rpc_nfs3_write_async(rpc, done, &args, NULL);
}

static void create(uint64_t n) {
  char name[32];
  CREATE3args args;
  sprintf(name, "n%llu", (unsigned long long)n);
  memset(&args, 0, sizeof args);
  args.where.dir = tree.fh;
  args.where.name = name;
  args.how.mode = GUARDED;
  args.how.createhow3_u.g_obj_attributes.mode.set_it = 1;
  args.how.createhow3_u.g_obj_attributes.mode.set_mode3_u.mode = 0644;
  rpc_nfs3_create_async(rpc, done, &args, NULL);
}

static void issue(const char *load) {
  uint64_t n = sequence++;
  under_way++;
  if (!strcmp(load, "read-4k")) read_at(n, SMALL);
  else if (!strcmp(load, "read-1m")) read_at(n, MIB);
  else if (!strcmp(load, "write-4k")) write_at(n, SMALL);
  else if (!strcmp(load, "write-1m")) write_at(n, MIB);
  else if (!strcmp(load, "create")) create(n);
  else if (!strcmp(load, "getattr")) {
    GETATTR3args args = {big.fh};
    rpc_nfs3_getattr_async(rpc, done, &args, NULL);
  } else if (!strcmp(load, "lookup")) {
    char name[32];
    sprintf(name, "f%u", (unsigned)(n % FILES));
    LOOKUP3args args = {{tree.fh, name}};
    rpc_nfs3_lookup_async(rpc, done, &args, NULL);
  } else if (!strcmp(load, "list")) {
    READDIRPLUS3args args;
    memset(&args, 0, sizeof args);
    args.dir = tree.fh;
    args.cookie = cookie;
    args.dircount = 32 * 1024;
    args.maxcount = 128 * 1024;
    rpc_nfs3_readdirplus_async(rpc, listed, &args, NULL);
  } else die("no such load");
}

int main(int argc, char **argv) {
  if (argc != 6) die("URL WITHIN LOAD DEPTH MILLISECONDS");
  char *within = argv[2], *load = argv[3];
  /* A listing goes on where the one before it ended. */
  int depth = strcmp(load, "list") ? atoi(argv[4]) : 1;
  struct nfs_context *nfs = nfs_init_context();
  struct nfs_url *url = nfs_parse_url_dir(nfs, argv[1]);
  if (!url || nfs_mount(nfs, url->server, url->path)) die(nfs_get_error(nfs));
  rpc = nfs_get_rpc_context(nfs);
  struct handle directory;
  keep(&directory, nfs_get_rootfh(nfs)->val, (unsigned)nfs_get_rootfh(nfs)->len);
  if (strcmp(within, ".")) {
    struct handle parent = directory;
    parent.fh.data.data_val = parent.bytes;
    lookup(&parent, within, &directory);
  }
  lookup(&directory, "big", &big);
  lookup(&directory, "scratch", &scratch);
  lookup(&directory, "tree", &tree);
  memset(data, 'x', sizeof data);
  double begin = now() + WARM_SECONDS, end = begin + atof(argv[5]) / 1000;
  uint64_t before = 0;
  while (now() < end || under_way) {
    if (!before && now() >= begin) before = requests;
    while (under_way < depth && now() < end) issue(load);
    if (under_way) serve();
  }
  if (failed) die("a call failed");
  printf("{\"requests\": %llu, \"all\": %llu, \"seconds\": %.6f}\n", (unsigned long long)(requests - before),
         (unsigned long long)requests, now() - begin);
  return 0;
}
