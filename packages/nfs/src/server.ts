/**
 * An NFS server on a loop: MOUNT, NFS and a port mapper on one listening socket, for one machine or many.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto"
import { rmSync } from "node:fs"
import type { Scope, Timer } from "@skep/loop"
import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { FileSystem } from "@skep/vfs"
import { Connection, type Sending } from "./connection.ts"
import type { NfsCounters } from "./counters.ts"
import { Volume } from "./files/volume.ts"
import type { Key } from "./handle/siphash.ts"
import { portmap } from "./mount/portmap.ts"
import { mount } from "./mount/program.ts"
import { nfs } from "./procedures/program.ts"
import { Dispatcher } from "./rpc/dispatch.ts"
import { Service } from "./service.ts"

const BACKLOG = 128
const ACCEPTS_MAX = 32
const CHECK_MS = 10_000
const IOVECS = 64
const DEFAULTS = {
  connections: 64,
  small: 96,
  large: 12,
  handles: 131_072,
  openFiles: 256,
  duplicates: 1024,
} as const

/**
 * Where clients come in. A path is the caller's to remove at the end; one that a killed server left is taken over. A descriptor is a listening socket that is the server's from now on. */
export type NfsListen =
  | { readonly path: string }
  | { readonly host: string; readonly port: number }
  | { readonly fd: number }

export interface NfsExport {
  readonly fileSystem: FileSystem
  readonly readOnly?: boolean
}

export interface NfsServerOptions {
  /** The server's life: it ends with it. Exceptions of a connection end that connection and are told to whom the scope tells. */
  readonly scope: Scope
  /** By the name that clients mount: "/" or "/name". More by `export`. File systems stay their owners', and outlive the server. */
  readonly exports?: Readonly<Record<string, NfsExport>>
  readonly listen?: readonly NfsListen[]
  /** A secret of 16 bytes or more that outlives the server, so that handles do. Without it they end with it. */
  readonly identity?: Uint8Array
  /** Connections at once, 64 unless told. */
  readonly connections?: number
  /** Memory in chunks: `small` twice 64 KiB (96), `large` twice 4 MiB (12). Used only as far as clients make it necessary. */
  readonly memory?: { readonly small: number; readonly large: number }
  /** Handles that are kept with their nodes for each export, 131,072 unless told. */
  readonly handles?: number
  /** Files that are kept open for each export, 256 unless told. */
  readonly openFiles?: number
}

export class NfsServer implements Disposable {
  readonly #scope: Scope
  readonly #service: Service
  readonly #dispatcher: Dispatcher
  readonly #sending: Sending
  readonly #limits: { readonly handles: number; readonly openFiles: number }
  readonly #connectionsMax: number
  readonly #connections = new Set<Connection>()
  readonly #timer: Timer
  #unsent: Connection[] = []
  #accepted = 0
  #checked = 0

  constructor(options: NfsServerOptions) {
    const scope = options.scope.scope("nfs")
    this.#scope = scope
    this.#connectionsMax = options.connections ?? DEFAULTS.connections
    const { small, large } = options.memory ?? DEFAULTS
    this.#service = new Service(keyOf(options.identity), { small, large }, DEFAULTS.duplicates)
    this.#limits = {
      handles: options.handles ?? DEFAULTS.handles,
      openFiles: options.openFiles ?? DEFAULTS.openFiles,
    }
    this.#dispatcher = new Dispatcher(this.#service, [nfs, mount, portmap])
    const scratch = new Scratch(8192)
    this.#sending = {
      iovecs: new Iovecs(scratch, "iovecs", IOVECS),
      message: new Message(scratch, "message", 1),
    }
    scope.onDispose(() => scratch[Symbol.dispose]())
    scope.onDispose(() => this.#service[Symbol.dispose]())
    scope.onBatchEnd(() => this.#flush())
    this.#timer = scope.timer(() => this.#check())
    for (const [name, what] of Object.entries(options.exports ?? {})) this.export(name, what)
    for (const where of options.listen ?? []) this.listen(where)
  }

  get counters(): Readonly<NfsCounters> {
    return this.#service.counters
  }

  /** The port of TCP; 0 where it listens on none. */
  get port(): number {
    return this.#service.port
  }

  get connections(): number {
    return this.#connections.size
  }

  /** Adds an export. Throws where the name is taken or none. */
  export(name: string, { fileSystem, readOnly = false }: NfsExport): void {
    if (!isName(name)) throw new Error(`Cannot export "${name}": not "/" or names with "/" before each`)
    this.#service.add(
      new Volume({ name, fileSystem, readOnly }, this.#service.key, this.#limits, this.#scope),
    )
  }

  /** Takes an export away: its handles are stale from now on, and its file system is no longer used as soon as operations under way are done. */
  unexport(name: string): boolean {
    const volume = this.#service.volumeByName(name)
    if (volume === undefined) return false
    this.#service.remove(volume)
    return true
  }

  /** Listens, and returns the port of TCP or 0. Throws a `SystemError`. */
  listen(where: NfsListen): number {
    const fd = "fd" in where ? where.fd : open(where)
    sys.check(sys.setNonblocking(fd, true), "fcntl")
    const name = sys.socketName(fd)
    const port = typeof name === "object" && "port" in name && name.family !== "vsock" ? name.port : 0
    if (port !== 0) this.#service.port = port
    this.#scope.adopt(fd, sys.EPOLLIN, () => this.#accept(fd))
    return port
  }

  /** Serves a stream socket that is connected already, and the server's from now on. */
  serve(fd: number): void {
    this.#add(fd)
  }

  /** Ends all connections and gives everything back. Idempotent. */
  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]()
  }

  #accept(listener: number): void {
    for (let count = 0; count < ACCEPTS_MAX; count++) {
      const fd = sys.accept(listener, sys.SOCK_NONBLOCK)
      // Short of descriptors: the client waits in the backlog.
      if (fd < 0) return
      this.#add(fd)
    }
  }

  #add(fd: number): void {
    const { counters } = this.#service
    if (this.#connections.size >= this.#connectionsMax) {
      counters.connectionsRefused++
      sys.close(fd)
      return
    }
    // Of a Unix socket there is nothing to set.
    sys.setOption(fd, sys.IPPROTO_TCP, sys.TCP_NODELAY, 1)
    sys.setOption(fd, sys.SOL_SOCKET, sys.SO_KEEPALIVE, 1)
    counters.connections++
    const scope = this.#scope.scope(`${this.#accepted++}`)
    const connection = new Connection({
      scope,
      fd,
      service: this.#service,
      dispatcher: this.#dispatcher,
      sending: this.#sending,
      onUnsent: (who) => this.#unsent.push(who),
    })
    if (this.#connections.size === 0) this.#timer.after(CHECK_MS)
    this.#connections.add(connection)
    scope.onDispose(() => {
      this.#connections.delete(connection)
    })
  }

  #flush(): void {
    if (this.#unsent.length === 0) return
    const unsent = this.#unsent
    this.#unsent = []
    for (const connection of unsent) connection.flush()
  }

  #check(): void {
    const { now } = this.#scope.loop
    for (const connection of this.#connections) connection.check(now)
    this.#service.memory.trim()
    // Once more after the last one has gone, for its memory.
    if (this.#connections.size > 0 || this.#accepted !== this.#checked) this.#timer.after(CHECK_MS)
    this.#checked = this.#accepted
  }
}

function open(where: Exclude<NfsListen, { fd: number }>): number {
  const unix = "path" in where
  const fd = streamSocket(unix ? sys.AF_UNIX : sys.AF_INET)
  try {
    if (unix) bindPath(fd, where.path)
    else {
      sys.check(sys.setOption(fd, sys.SOL_SOCKET, sys.SO_REUSEADDR, 1), "setsockopt")
      sys.check(sys.bind(fd, { family: "inet", address: where.host, port: where.port }), "bind")
    }
    sys.check(sys.listen(fd, BACKLOG), "listen")
  } catch (error) {
    sys.close(fd)
    throw error
  }
  return fd
}

function streamSocket(family: number): number {
  return sys.check(sys.socket(family, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
}

/** Takes the place of a socket that nobody listens on any more: what a killed server leaves. */
function bindPath(fd: number, path: string): void {
  const address = { family: "unix", path } as const
  const result = sys.bind(fd, address)
  if (result !== -sys.EADDRINUSE) {
    sys.check(result, "bind", path)
    return
  }
  const probe = streamSocket(sys.AF_UNIX)
  const answer = sys.connect(probe, address)
  sys.close(probe)
  if (answer === -sys.ECONNREFUSED) rmSync(path)
  sys.check(sys.bind(fd, address), "bind", path)
}

function keyOf(identity: Uint8Array | undefined): Key {
  const bytes = createHash("sha256")
    .update("skep nfs handles 1\0")
    .update(identity ?? randomBytes(16))
    .digest()
  return { low: bytes.readUInt32LE(0), high: bytes.readUInt32LE(4) }
}

function isName(name: string): boolean {
  if (name === "/") return true
  if (!name.startsWith("/") || Buffer.byteLength(name) > 1023) return false
  return name
    .slice(1)
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\0"))
}
