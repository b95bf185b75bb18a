/**
 * The C library as a table of functions, bound once when this module loads.
 *
 * Addresses, sizes and offsets are int64 and cross as numbers (user space ends at 2^47). A `Uint8Array` argument is passed by its
 * address for the time of the call. Where there is no FFI the table is there all the same and each call throws the reason.
 *
 * @module
 */
import { createRequire } from "node:module"
import { abiOf } from "./abi.ts"

/** Whether system calls can be had here; if not, why, in one sentence. */
export type Availability =
  | { readonly available: true }
  | { readonly available: false; readonly reason: string }

/** The C functions, named and ordered as their manual pages have them. -1 is failure, with the reason in `errno()`. */
export interface Libc {
  open(path: string, flags: number, mode: number): number
  read(fd: number, address: number, length: number): number
  write(fd: number, address: number, length: number): number
  pread(fd: number, address: number, length: number, offset: number): number
  pwrite(fd: number, address: number, length: number, offset: number): number
  readv(fd: number, iovecs: number, count: number): number
  writev(fd: number, iovecs: number, count: number): number
  preadv(fd: number, iovecs: number, count: number, offset: number): number
  pwritev(fd: number, iovecs: number, count: number, offset: number): number
  splice(
    from: number,
    fromOffset: number,
    to: number,
    toOffset: number,
    length: number,
    flags: number,
  ): number
  statx(directory: number, path: string, flags: number, mask: number, into: number): number
  statxInto(directory: number, path: string, flags: number, mask: number, into: Uint8Array): number
  ftruncate(fd: number, length: number): number
  fcntl(fd: number, command: number, argument: number): number
  ioctl(fd: number, request: number, argument: number): number
  ioctlInto(fd: number, request: number, argument: Uint8Array): number
  close(fd: number): number
  pipe2(into: Int32Array, flags: number): number
  socket(family: number, type: number, protocol: number): number
  socketpair(family: number, type: number, protocol: number, into: Int32Array): number
  bind(fd: number, name: Uint8Array, length: number): number
  listen(fd: number, backlog: number): number
  accept4(fd: number, name: number, length: number, flags: number): number
  accept4Named(fd: number, name: Uint8Array, length: Int32Array, flags: number): number
  connect(fd: number, name: Uint8Array, length: number): number
  shutdown(fd: number, how: number): number
  getsockname(fd: number, name: Uint8Array, length: Int32Array): number
  getpeername(fd: number, name: Uint8Array, length: Int32Array): number
  getsockopt(fd: number, level: number, name: number, value: Int32Array, length: Int32Array): number
  setsockopt(fd: number, level: number, name: number, value: Int32Array, length: number): number
  getsockoptBytes(fd: number, level: number, name: number, value: Uint8Array, length: Int32Array): number
  setsockoptBytes(fd: number, level: number, name: number, value: Uint8Array, length: number): number
  send(fd: number, address: number, length: number, flags: number): number
  recv(fd: number, address: number, length: number, flags: number): number
  recvmsg(fd: number, header: number, flags: number): number
  sendmsg(fd: number, header: number, flags: number): number
  epoll_create1(flags: number): number
  epoll_ctl(epoll: number, operation: number, fd: number, event: number): number
  epoll_wait(epoll: number, events: number, capacity: number, timeoutMs: number): number
  /** Undefined in a C library older than the call (glibc 2.35). */
  readonly epoll_pwait2: Pwait2 | undefined
  eventfd(initial: number, flags: number): number
  eventfd_write(fd: number, value: number): number
  memfd_create(name: string, flags: number): number
  mmap(at: number, length: number, protection: number, flags: number, fd: number, offset: number): number
  munmap(address: number, length: number): number
  madvise(address: number, length: number, advice: number): number
  memcpy(to: number, from: number, length: number): number
  memcpyInto(to: Uint8Array, from: number, length: number): number
  memcpyFrom(to: number, from: Uint8Array, length: number): number
  inotify_init1(flags: number): number
  inotify_add_watch(fd: number, path: string, mask: number): number
  inotify_rm_watch(fd: number, watch: number): number
  openatNamed(directory: number, name: Uint8Array, flags: number, mode: number): number
  setns(fd: number, kind: number): number
  unshare(flags: number): number
  gettid(): number
  getrusage(who: number, into: Uint8Array): number
  sched_yield(): number

  // Files below a directory. Names are addresses of bytes that end with NUL, since they need not be text.
  openat(directory: number, name: number, flags: number, mode: number): number
  statxAt(directory: number, name: number, flags: number, mask: number, into: number): number
  mkdirat(directory: number, name: number, mode: number): number
  mknodat(directory: number, name: number, mode: number, device: number): number
  unlinkat(directory: number, name: number, flags: number): number
  renameat2(from: number, name: number, to: number, newName: number, flags: number): number
  linkat(from: number, name: number, to: number, newName: number, flags: number): number
  symlinkat(target: number, directory: number, name: number): number
  readlinkat(directory: number, name: number, into: number, length: number): number
  fchmod(fd: number, mode: number): number
  fchmodat(directory: number, name: number, mode: number, flags: number): number
  fchownat(directory: number, name: number, uid: number, gid: number, flags: number): number
  utimensat(directory: number, name: number, timespecs: number, flags: number): number
  truncate(name: number, length: number): number
  getxattr(name: number, attribute: number, into: number, length: number): number
  lgetxattr(name: number, attribute: number, into: number, length: number): number
  fgetxattr(fd: number, attribute: number, into: number, length: number): number
  setxattr(name: number, attribute: number, value: number, length: number, flags: number): number
  listxattr(name: number, into: number, length: number): number
  removexattr(name: number, attribute: number): number
  fstatfs(fd: number, into: number): number
  getdents64(fd: number, into: number, length: number): number
  lseek(fd: number, offset: number | bigint, whence: number): number | bigint
  preadv2(fd: number, iovecs: number, count: number, offset: number, flags: number): number
  pwritev2(fd: number, iovecs: number, count: number, offset: number, flags: number): number
  fsync(fd: number): number
  fdatasync(fd: number): number
  fallocate(fd: number, mode: number, offset: number, length: number): number
  copy_file_range(
    from: number,
    fromOffset: number,
    to: number,
    toOffset: number,
    length: number,
    flags: number,
  ): number
  flock(fd: number, operation: number): number
  umask(mask: number): number
  prlimit(pid: number, resource: number, limit: number, old: number): number
}

type Pwait2 = (epoll: number, events: number, capacity: number, timespec: number, signals: number) => number
type Argument = number | bigint | string | Uint8Array | Int32Array
type Bind = (name: string, result: string, parameters: string[]) => (...values: Argument[]) => number

const INT = "int"
const WORD = "int64_t"
const BYTES = "void *"
const TEXT = "const char *"

/** Why there is no FFI, from facts alone. */
export function unsupported(platform: string, arch: string): string | undefined {
  if (platform !== "linux") return `the loop needs Linux system calls, and this is ${platform}`
  if (abiOf(arch) === undefined)
    return `the loop knows the layouts of x64 and arm64 only, and this processor is ${arch}`
  return undefined
}

const loaded = load()

/** Says whether system calls can be had here, so that callers fall back to Node's own sockets where not. */
export function available(): Availability {
  return loaded.availability
}

export const libc: Libc = loaded.libc

/**
 * The error number of this thread's last failed call. The C library keeps it at one address a thread, so it is read from
 * memory there: no second call, and nothing in between that could change it.
 */
export function errno(): number {
  return loaded.errnos[0] ?? 0
}

interface Loaded {
  readonly availability: Availability
  readonly libc: Libc
  readonly errnos: Int32Array
  /** An ArrayBuffer over memory that is not ours. */
  readonly view: (address: number, length: number) => ArrayBuffer
  readonly address: (buffer: ArrayBuffer) => number
}

/** An `ArrayBuffer` over `length` bytes at `address`. It must be detached before the memory goes: use `Mapping`. */
export function viewOf(address: number, length: number): ArrayBuffer {
  return loaded.view(address, length)
}

/**
 * Where the bytes of `buffer` are. True as long as nobody detaches or grows it, which the caller sees to: a fixed `WebAssembly.Memory` never moves,
 * and other buffers must be kept from the collector.
 */
export function addressOf(buffer: ArrayBuffer): number {
  return loaded.address(buffer)
}

function load(): Loaded {
  const reason = unsupported(process.platform, process.arch)
  if (reason !== undefined) return missing(reason)
  try {
    // Not an import: where npm has no build of koffi for the platform, an import would end the program.
    const koffi: typeof import("koffi") = createRequire(import.meta.url)("koffi")
    // The C library that Node itself is linked with, whatever its file is called.
    const library = koffi.load(null)
    const libc = bindAll((name, result, parameters) => library.func(name, result, parameters))
    const location: number = library.func("__errno_location", WORD, [])()
    const errnos = new Int32Array(koffi.view(location, Int32Array.BYTES_PER_ELEMENT))
    return {
      availability: { available: true },
      libc,
      errnos,
      view: (address, length) => koffi.view(address, length),
      address: (buffer) => Number(koffi.address(buffer)),
    }
  } catch (error) {
    const text = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)
    return missing(`koffi cannot be loaded here (${text})`)
  }
}

function missing(reason: string): Loaded {
  const refuse = (): never => {
    throw new Error(`Cannot make a system call: ${reason}`)
  }
  return {
    availability: { available: false, reason },
    libc: bindAll(() => refuse),
    errnos: new Int32Array(1),
    view: refuse,
    address: refuse,
  }
}

function bindAll(bind: Bind): Libc {
  return {
    ...fileCalls(bind),
    ...treeCalls(bind),
    ...dataCalls(bind),
    ...socketCalls(bind),
    ...otherCalls(bind),
  }
}

function fileCalls(bind: Bind) {
  return {
    open: bind("open", INT, [TEXT, INT, INT]),
    read: bind("read", WORD, [INT, WORD, WORD]),
    write: bind("write", WORD, [INT, WORD, WORD]),
    pread: bind("pread", WORD, [INT, WORD, WORD, WORD]),
    pwrite: bind("pwrite", WORD, [INT, WORD, WORD, WORD]),
    readv: bind("readv", WORD, [INT, WORD, INT]),
    writev: bind("writev", WORD, [INT, WORD, INT]),
    preadv: bind("preadv", WORD, [INT, WORD, INT, WORD]),
    pwritev: bind("pwritev", WORD, [INT, WORD, INT, WORD]),
    splice: bind("splice", WORD, [INT, WORD, INT, WORD, WORD, "uint"]),
    statx: bind("statx", INT, [INT, TEXT, INT, "uint", WORD]),
    statxInto: bind("statx", INT, [INT, TEXT, INT, "uint", BYTES]),
    ftruncate: bind("ftruncate", INT, [INT, WORD]),
    fcntl: bind("fcntl", INT, [INT, INT, WORD]),
    ioctl: bind("ioctl", INT, [INT, WORD, WORD]),
    ioctlInto: bind("ioctl", INT, [INT, WORD, BYTES]),
    close: bind("close", INT, [INT]),
    pipe2: bind("pipe2", INT, [BYTES, INT]),
  }
}

function treeCalls(bind: Bind) {
  return {
    openat: bind("openat", INT, [INT, WORD, INT, INT]),
    statxAt: bind("statx", INT, [INT, WORD, INT, "uint", WORD]),
    mkdirat: bind("mkdirat", INT, [INT, WORD, "uint"]),
    mknodat: bind("mknodat", INT, [INT, WORD, "uint", WORD]),
    unlinkat: bind("unlinkat", INT, [INT, WORD, INT]),
    renameat2: bind("renameat2", INT, [INT, WORD, INT, WORD, "uint"]),
    linkat: bind("linkat", INT, [INT, WORD, INT, WORD, INT]),
    symlinkat: bind("symlinkat", INT, [WORD, INT, WORD]),
    readlinkat: bind("readlinkat", WORD, [INT, WORD, WORD, WORD]),
    fchmod: bind("fchmod", INT, [INT, "uint"]),
    fchmodat: bind("fchmodat", INT, [INT, WORD, "uint", INT]),
    fchownat: bind("fchownat", INT, [INT, WORD, "uint", "uint", INT]),
    utimensat: bind("utimensat", INT, [INT, WORD, WORD, INT]),
    truncate: bind("truncate", INT, [WORD, WORD]),
    getxattr: bind("getxattr", WORD, [WORD, WORD, WORD, WORD]),
    lgetxattr: bind("lgetxattr", WORD, [WORD, WORD, WORD, WORD]),
    fgetxattr: bind("fgetxattr", WORD, [INT, WORD, WORD, WORD]),
    setxattr: bind("setxattr", INT, [WORD, WORD, WORD, WORD, INT]),
    listxattr: bind("listxattr", WORD, [WORD, WORD, WORD]),
    removexattr: bind("removexattr", INT, [WORD, WORD]),
    fstatfs: bind("fstatfs", INT, [INT, WORD]),
    getdents64: bind("getdents64", WORD, [INT, WORD, WORD]),
  }
}

function dataCalls(bind: Bind) {
  return {
    lseek: bind("lseek", WORD, [INT, WORD, INT]),
    preadv2: bind("preadv2", WORD, [INT, WORD, INT, WORD, INT]),
    pwritev2: bind("pwritev2", WORD, [INT, WORD, INT, WORD, INT]),
    fsync: bind("fsync", INT, [INT]),
    fdatasync: bind("fdatasync", INT, [INT]),
    fallocate: bind("fallocate", INT, [INT, INT, WORD, WORD]),
    copy_file_range: bind("copy_file_range", WORD, [INT, WORD, INT, WORD, WORD, "uint"]),
    flock: bind("flock", INT, [INT, INT]),
    umask: bind("umask", INT, ["uint"]),
    prlimit: bind("prlimit", INT, [INT, INT, WORD, WORD]),
  }
}

function socketCalls(bind: Bind) {
  return {
    socket: bind("socket", INT, [INT, INT, INT]),
    socketpair: bind("socketpair", INT, [INT, INT, INT, BYTES]),
    bind: bind("bind", INT, [INT, BYTES, INT]),
    listen: bind("listen", INT, [INT, INT]),
    accept4: bind("accept4", INT, [INT, WORD, WORD, INT]),
    accept4Named: bind("accept4", INT, [INT, BYTES, BYTES, INT]),
    connect: bind("connect", INT, [INT, BYTES, INT]),
    shutdown: bind("shutdown", INT, [INT, INT]),
    getsockname: bind("getsockname", INT, [INT, BYTES, BYTES]),
    getpeername: bind("getpeername", INT, [INT, BYTES, BYTES]),
    getsockopt: bind("getsockopt", INT, [INT, INT, INT, BYTES, BYTES]),
    setsockopt: bind("setsockopt", INT, [INT, INT, INT, BYTES, INT]),
    getsockoptBytes: bind("getsockopt", INT, [INT, INT, INT, BYTES, BYTES]),
    setsockoptBytes: bind("setsockopt", INT, [INT, INT, INT, BYTES, INT]),
    send: bind("send", WORD, [INT, WORD, WORD, INT]),
    recv: bind("recv", WORD, [INT, WORD, WORD, INT]),
    recvmsg: bind("recvmsg", WORD, [INT, WORD, INT]),
    sendmsg: bind("sendmsg", WORD, [INT, WORD, INT]),
  }
}

function otherCalls(bind: Bind) {
  return {
    epoll_create1: bind("epoll_create1", INT, [INT]),
    epoll_ctl: bind("epoll_ctl", INT, [INT, INT, INT, WORD]),
    epoll_wait: bind("epoll_wait", INT, [INT, WORD, INT, INT]),
    epoll_pwait2: optional(bind, "epoll_pwait2", INT, [INT, WORD, INT, WORD, WORD]),
    eventfd: bind("eventfd", INT, ["uint", INT]),
    eventfd_write: bind("eventfd_write", INT, [INT, WORD]),
    memfd_create: bind("memfd_create", INT, [TEXT, "uint"]),
    mmap: bind("mmap", WORD, [WORD, WORD, INT, INT, INT, WORD]),
    munmap: bind("munmap", INT, [WORD, WORD]),
    madvise: bind("madvise", INT, [WORD, WORD, INT]),
    memcpy: bind("memcpy", WORD, [WORD, WORD, WORD]),
    memcpyInto: bind("memcpy", WORD, [BYTES, WORD, WORD]),
    memcpyFrom: bind("memcpy", WORD, [WORD, BYTES, WORD]),
    inotify_init1: bind("inotify_init1", INT, [INT]),
    inotify_add_watch: bind("inotify_add_watch", INT, [INT, TEXT, "uint"]),
    inotify_rm_watch: bind("inotify_rm_watch", INT, [INT, INT]),
    openatNamed: bind("openat", INT, [INT, BYTES, INT, INT]),
    setns: bind("setns", INT, [INT, INT]),
    unshare: bind("unshare", INT, [INT]),
    gettid: bind("gettid", INT, []),
    getrusage: bind("getrusage", INT, [INT, BYTES]),
    sched_yield: bind("sched_yield", INT, []),
  }
}

function optional(bind: Bind, ...signature: Parameters<Bind>): Pwait2 | undefined {
  try {
    return bind(...signature)
  } catch {
    // The symbol is not there: callers have a second way.
    return undefined
  }
}
