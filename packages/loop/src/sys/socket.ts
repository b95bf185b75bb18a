/**
 * Sockets: thin functions that return a number or `-errno`. Every descriptor is close-on-exec.
 *
 * @module
 */
import { emit, parse, SOCKADDR_SIZE, type SocketAddress, UNIX_PATH_MAX } from "./address.ts"
import * as c from "./constants.ts"
import { EALREADY, EINPROGRESS, EINVAL, EISCONN, ENAMETOOLONG } from "./errno.ts"
import { SystemError } from "./error.ts"
import { libc } from "./libc.ts"
import { interrupted, outcome } from "./outcome.ts"

/** Where values and names pass through. One each a thread: nothing is kept in them between calls. */
const int = new Int32Array(1)
const length = new Int32Array(1)
const name = new Uint8Array(SOCKADDR_SIZE)

/** `type` may carry `SOCK_NONBLOCK`. */
export function socket(family: number, type: number, protocol = 0): number {
  return outcome(libc.socket(family, type | c.SOCK_CLOEXEC, protocol))
}

/** Writes two connected sockets to `into`. */
export function socketPair(family: number, type: number, into: Int32Array): number {
  return outcome(libc.socketpair(family, type | c.SOCK_CLOEXEC, 0, into))
}

/** Throws a `SystemError` ENAMETOOLONG or EINVAL where `address` cannot be one; all else is a result. */
export function bind(fd: number, address: SocketAddress): number {
  const bytes = encoded("bind", address)
  return outcome(libc.bind(fd, bytes, bytes.length))
}

/** The same with an address that is bytes already. */
export function bindTo(fd: number, address: Uint8Array): number {
  return outcome(libc.bind(fd, address, address.length))
}

export function listen(fd: number, backlog: number): number {
  return outcome(libc.listen(fd, backlog))
}

/** `flags`: SOCK_NONBLOCK. Who called is asked by `peerName`. */
export function accept(fd: number, flags = 0): number {
  let n = libc.accept4(fd, 0, 0, flags | c.SOCK_CLOEXEC)
  while (interrupted(n)) n = libc.accept4(fd, 0, 0, flags | c.SOCK_CLOEXEC)
  return outcome(n)
}

/**
 * Throws as `bind` does. -EINPROGRESS where the answer comes as EPOLLOUT and `socketError`; -EAGAIN where the backlog of a
 * Unix socket is full, and nothing will tell when it is not.
 */
export function connect(fd: number, address: SocketAddress): number {
  return connectTo(fd, encoded("connect", address))
}

/** The same with an address that `encodeAddress` made before, for those who connect often. */
export function connectTo(fd: number, address: Uint8Array): number {
  let n = libc.connect(fd, address, address.length)
  if (!interrupted(n)) return outcome(n)
  while (interrupted(n)) n = libc.connect(fd, address, address.length)
  // connect(2): an interrupted connect goes on without us, and the second call only says how far it is.
  const result = outcome(n)
  if (result === -EISCONN) return 0
  return result === -EALREADY ? -EINPROGRESS : result
}

/** The bytes of an address. Throws a `SystemError` in the name of `syscall`. */
export function encodeAddress(address: SocketAddress, syscall = "connect"): Uint8Array {
  return encoded(syscall, address)
}

export function shutdown(fd: number, how: number): number {
  return outcome(libc.shutdown(fd, how))
}

/** What the socket is bound to, or `-errno`; -EINVAL for a family we do not know. */
export function socketName(fd: number): SocketAddress | number {
  length[0] = name.length
  return named(libc.getsockname(fd, name, length))
}

/** What the socket is connected to. */
export function peerName(fd: number): SocketAddress | number {
  length[0] = name.length
  return named(libc.getpeername(fd, name, length))
}

/** An option that is an int. Such values are not negative. */
export function getOption(fd: number, level: number, option: number): number {
  length[0] = int.byteLength
  const n = outcome(libc.getsockopt(fd, level, option, int, length))
  return n < 0 ? n : (int[0] ?? 0)
}

export function setOption(fd: number, level: number, option: number, value: number): number {
  int[0] = value
  return outcome(libc.setsockopt(fd, level, option, int, int.byteLength))
}

/** An option that is a structure, written to `into`. Returns how many bytes the kernel wrote. */
export function getOptionBytes(fd: number, level: number, option: number, into: Uint8Array): number {
  length[0] = into.length
  const n = outcome(libc.getsockoptBytes(fd, level, option, into, length))
  return n < 0 ? n : length[0]
}

/** Sets an option that is a structure, as struct linger is. */
export function setOptionBytes(fd: number, level: number, option: number, value: Uint8Array): number {
  return outcome(libc.setsockoptBytes(fd, level, option, value, value.length))
}

/** Takes the pending error of a socket: 0, or `-errno`. */
export function socketError(fd: number): number {
  const n = getOption(fd, c.SOL_SOCKET, c.SO_ERROR)
  return n > 0 ? -n : n
}

/** Never raises SIGPIPE. */
export function send(fd: number, address: number, size: number, flags = 0): number {
  let n = libc.send(fd, address, size, flags | c.MSG_NOSIGNAL)
  while (interrupted(n)) n = libc.send(fd, address, size, flags | c.MSG_NOSIGNAL)
  return outcome(n)
}

export function receive(fd: number, address: number, size: number, flags = 0): number {
  let n = libc.recv(fd, address, size, flags)
  while (interrupted(n)) n = libc.recv(fd, address, size, flags)
  return outcome(n)
}

/** `header` is the address of a struct msghdr: see `Message`. Never raises SIGPIPE. */
export function sendMessage(fd: number, header: number, flags = 0): number {
  let n = libc.sendmsg(fd, header, flags | c.MSG_NOSIGNAL)
  while (interrupted(n)) n = libc.sendmsg(fd, header, flags | c.MSG_NOSIGNAL)
  return outcome(n)
}

/** Descriptors that arrive are close-on-exec. */
export function receiveMessage(fd: number, header: number, flags = 0): number {
  let n = libc.recvmsg(fd, header, flags | c.MSG_CMSG_CLOEXEC)
  while (interrupted(n)) n = libc.recvmsg(fd, header, flags | c.MSG_CMSG_CLOEXEC)
  return outcome(n)
}

function named(result: number): SocketAddress | number {
  const n = outcome(result)
  return n < 0 ? n : (parse(name, length[0] ?? 0) ?? -EINVAL)
}

function encoded(syscall: string, address: SocketAddress): Uint8Array {
  const bytes = emit(address)
  if (bytes === "path-too-long")
    throw new SystemError(
      syscall,
      ENAMETOOLONG,
      `the path of a Unix socket has at most ${UNIX_PATH_MAX} bytes: "${address.family === "unix" ? address.path : ""}"`,
    )
  if (bytes === "bad-address")
    throw new SystemError(syscall, EINVAL, `no such address: ${JSON.stringify(address)}`)
  return bytes
}
