/**
 * The host's sockets around a vsock device, in the dialects of HyperKit, Firecracker and vfkit (`dialect/socket-path.ts`): whatever the device
 * is, its clients and services meet it here.
 *
 * Paths belong to whoever holds the sidecar's lock; what lies there is stale and replaced. Sockets have mode 0600.
 *
 * @module
 */
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs"
import { basename } from "node:path"
import { check, type Scope } from "@skep/loop"
import { type Region, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { acceptClients, connectUnix } from "@skep/vhost-user"
import { socketsMax } from "./descriptors.ts"
import { acknowledgement, type Dialect } from "./dialect/greeting.ts"
import {
  connectPath,
  firecrackerServicePath,
  forwardLink,
  forwardPath,
  servicePath,
} from "./dialect/socket-path.ts"
import { type Greeter, greet, type Unwelcome } from "./greeter.ts"
import type { HostOptions } from "./options.ts"

const BACKLOG = 511
const GREETING_MS = 5000
/** Clients that have not yet said what they want. Beyond them whoever took longer than that makes room; others wait in the backlog. */
const GREETERS_MAX = 256
const PATIENCE_MS = 1000

export interface HostCounters {
  accepted: number
  refused: number
  /** How often clients had to wait in a backlog: too many that say nothing yet, or too many for our descriptors. */
  crowded: number
}

export interface HostSocketsOptions {
  readonly scope: Scope
  readonly host: HostOptions
  /** How many descriptors the streams have at this moment. */
  readonly inUse: () => number
  /** A client wants this port of the guest. `fd` is connected, non-blocking, and the hearer's; `dialect` is how it asked, if it had to. */
  readonly onClient: (fd: number, port: number, dialect: Dialect | undefined) => void
}

export class HostSockets {
  readonly counters: HostCounters = { accepted: 0, refused: 0, crowded: 0 }
  /** Why clients were refused, by reason. */
  readonly refusals: Partial<Record<Unwelcome, number>> = {}
  readonly #options: HostSocketsOptions
  readonly #scope: Scope
  readonly #scratch = new Scratch(4096)
  readonly #bounce: Region = this.#scratch.region("greeting", 512)
  readonly #services: ReadonlyMap<number, string>
  readonly #socketsMax = socketsMax()
  /** The oldest first. */
  readonly #greeters = new Set<Greeter>()

  /** Opens every socket. Throws the `SystemError` of the first that cannot be; its scope's end leaves none. */
  constructor(options: HostSocketsOptions) {
    this.#options = options
    this.#scope = options.scope
    this.#services = new Map(
      options.host.ports.filter(({ mode }) => mode === "listen").map(({ port, path }) => [port, path]),
    )
    this.#scope.onDispose(() => this.#scratch[Symbol.dispose]())
    this.#open()
  }

  /** Whether there are descriptors left for another stream. */
  get hasRoom(): boolean {
    return this.#greeters.size + this.#options.inUse() < this.#socketsMax
  }

  /**
   * Connects to the host's service for a port: a map of its own, then the directory's, then the one beside the Firecracker socket. A
   * descriptor, or `-errno`.
   */
  connectService(port: number): number {
    if (!this.hasRoom) return -sys.EMFILE
    const { directory, udsPath } = this.#options.host
    const mapped = this.#services.get(port)
    if (mapped !== undefined) return connectUnix(mapped)
    const paths = [
      ...(directory === undefined ? [] : [servicePath(directory, port)]),
      ...(udsPath === undefined ? [] : [firecrackerServicePath(udsPath, port)]),
    ]
    const path = paths.find((each) => existsSync(each))
    return path === undefined ? -sys.ENOENT : connectUnix(path)
  }

  /** Tells a client that the guest accepted, where its dialect has an answer. Before its first byte. */
  welcome(fd: number, dialect: Dialect | undefined, hostPort: number): void {
    if (dialect !== "firecracker") return
    const answer = Buffer.from(acknowledgement(hostPort))
    this.#bounce.bytes.set(answer)
    // A socket that was just accepted has room for a line.
    sys.send(fd, this.#bounce.address, answer.length, sys.MSG_DONTWAIT)
  }

  #open(): void {
    const { directory, udsPath, guestCid, guestForwards, ports } = this.#options.host
    if (directory !== undefined) {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      this.#listenForGreetings(connectPath(directory))
      for (const port of guestForwards) {
        const path = forwardPath(directory, guestCid, port)
        this.#listenForPort(path, port)
        this.#link(forwardLink(directory, port), basename(path))
      }
    }
    if (udsPath !== undefined) this.#listenForGreetings(udsPath)
    for (const { port, path, mode } of ports) {
      if (mode === "connect") this.#listenForPort(path, port)
    }
  }

  #listenForGreetings(path: string): void {
    this.#listen(
      path,
      (fd) => this.#greet(fd),
      () => this.#hasPatience(),
    )
  }

  #listenForPort(path: string, port: number): void {
    this.#listen(path, (fd) => this.#options.onClient(fd, port, undefined))
  }

  #listen(path: string, accepted: (fd: number) => void, hasRoom: () => boolean = () => true): void {
    rmSync(path, { force: true })
    const fd = check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
    acceptClients({
      scope: this.#scope,
      fd,
      hasRoom: () => this.hasRoom && hasRoom(),
      onClient: (client) => {
        this.counters.accepted++
        accepted(client)
      },
      onPause: () => this.counters.crowded++,
    })
    // The mask keeps the socket private from its first moment; the mode afterwards is for readers of `ls`.
    check(sys.bind(fd, { family: "unix", path }), "bind", path)
    this.#scope.onDispose(() => rmSync(path, { force: true }))
    chmodSync(path, 0o600)
    check(sys.listen(fd, BACKLOG), "listen", path)
  }

  #link(path: string, target: string): void {
    rmSync(path, { force: true })
    symlinkSync(target, path)
    this.#scope.onDispose(() => rmSync(path, { force: true }))
  }

  /** Whether there is room for another client that has said nothing yet; makes some if need be. */
  #hasPatience(): boolean {
    if (this.#greeters.size < GREETERS_MAX) return true
    const [oldest] = this.#greeters
    if (oldest === undefined || this.#scope.loop.now - oldest.since < PATIENCE_MS) return false
    oldest.dismiss()
    return true
  }

  #greet(fd: number): void {
    const greeter = greet({
      scope: this.#scope,
      fd,
      guestCid: this.#options.host.guestCid,
      deadlineMs: GREETING_MS,
      bounce: this.#bounce,
      onGreeted: (client, port, dialect) => {
        this.#greeters.delete(greeter)
        this.#options.onClient(client, port, dialect)
      },
      onRefused: (reason) => {
        this.#greeters.delete(greeter)
        this.counters.refused++
        this.refusals[reason] = (this.refusals[reason] ?? 0) + 1
      },
    })
    this.#greeters.add(greeter)
  }
}
