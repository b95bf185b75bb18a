/**
 * Sockets of the host's loopback, which nobody waits for.
 *
 * @module
 */
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"

const ROOM = 65_536
const LOOPBACK = "127.0.0.1"

export class HostSocket implements Disposable {
  readonly fd: number
  readonly #scratch = new Scratch(ROOM)
  readonly #region = this.#scratch.region("socket", ROOM)

  constructor(fd: number) {
    this.fd = sys.check(fd, "socket")
  }

  /** A TCP listener on a port of the host's choice. */
  static listen(): HostSocket {
    const socket = HostSocket.bound(sys.SOCK_STREAM)
    sys.check(sys.listen(socket.fd, 16), "listen")
    return socket
  }

  /** The same at a path. */
  static listenAt(path: string): HostSocket {
    const socket = new HostSocket(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK))
    sys.check(sys.bind(socket.fd, { family: "unix", path }), "bind")
    sys.check(sys.listen(socket.fd, 16), "listen")
    return socket
  }

  static bound(type: number): HostSocket {
    const socket = new HostSocket(sys.socket(sys.AF_INET, type | sys.SOCK_NONBLOCK))
    sys.check(sys.bind(socket.fd, { family: "inet", address: LOOPBACK, port: 0 }), "bind")
    return socket
  }

  /** Begins to connect, or sets where datagrams go. */
  static connected(type: number, port: number): HostSocket {
    const socket = HostSocket.bound(type)
    const result = sys.connect(socket.fd, { family: "inet", address: LOOPBACK, port })
    if (result !== -sys.EINPROGRESS) sys.check(result, "connect")
    return socket
  }

  get port(): number {
    const name = sys.socketName(this.fd)
    if (typeof name === "number" || !("port" in name)) throw new Error("the socket has no port")
    return name.port
  }

  /** A client that has come, if one has. */
  accept(): HostSocket | undefined {
    const fd = sys.accept(this.fd, sys.SOCK_NONBLOCK)
    return fd < 0 ? undefined : new HostSocket(fd)
  }

  write(text: string): void {
    this.#region.bytes.set(Buffer.from(text))
    sys.check(sys.send(this.fd, this.#region.address, Buffer.byteLength(text), sys.MSG_DONTWAIT), "send")
  }

  /** What is there; undefined where nothing is, "" at the end, the name of an error. */
  read(): string | undefined {
    const got = sys.receive(this.fd, this.#region.address, ROOM, sys.MSG_DONTWAIT)
    if (got === -sys.EAGAIN) return undefined
    return got < 0 ? sys.errnoName(got) : Buffer.from(this.#region.bytes.subarray(0, got)).toString()
  }

  [Symbol.dispose](): void {
    sys.close(this.fd)
    this.#scratch[Symbol.dispose]()
  }
}

/** A port that nobody listens on now. */
export function closedPort(type: number = sys.SOCK_STREAM): number {
  using socket = HostSocket.bound(type)
  return socket.port
}
