/**
 * The host's sockets around a vsock device, in the dialects of HyperKit, Firecracker and vfkit (`../dialect/socket-path.ts`).
 *
 * Paths belong to whoever holds the sidecar's lock; what lies there is stale and replaced. Sockets have mode 0600.
 *
 * @module
 */
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs"
import { basename } from "node:path"
import { check, type Registration, type Scope } from "@skep/loop"
import { type Region, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { StreamLimits } from "../device/streams.ts"
import type { Dialect } from "../dialect/greeting.ts"
import {
  connectPath,
  firecrackerServicePath,
  forwardLink,
  forwardPath,
  servicePath,
} from "../dialect/socket-path.ts"
import type { VsockOptions } from "../options.ts"
import { VsockDevice } from "./device.ts"
import { greet, type Unwelcome, welcome } from "./greeter.ts"

const BACKLOG = 511
const GREETING_MS = 5000
const CROWDED_MS = 100
/** Clients that have not yet said what they want. */
const GREETERS_MAX = 256

export interface BridgeCounters {
  accepted: number
  refused: number
  /** Clients too many at a time, or for our descriptors. */
  crowded: number
}

export class Bridge {
  readonly device: VsockDevice
  readonly counters: BridgeCounters = { accepted: 0, refused: 0, crowded: 0 }
  /** Why clients were refused, by reason. */
  readonly refusals: Partial<Record<Unwelcome, number>> = {}
  readonly #options: VsockOptions
  readonly #scope: Scope
  readonly #scratch = new Scratch(4096)
  readonly #bounce: Region = this.#scratch.region("greeting", 512)
  readonly #services: ReadonlyMap<number, string>
  #greeting = 0

  /** Opens every socket. Throws the `SystemError` of the first that cannot be; then none is left. */
  constructor(scope: Scope, options: VsockOptions, firstHostPort?: number) {
    this.#options = options
    this.#scope = scope
    this.#services = new Map(
      options.ports.filter(({ mode }) => mode === "listen").map(({ port, path }) => [port, path]),
    )
    const limits: StreamLimits = options.limits
    this.device = new VsockDevice({
      scope,
      guestCid: options.guestCid,
      limits,
      services: { connect: (port) => this.#connectService(port) },
      ...(firstHostPort === undefined ? {} : { firstHostPort }),
    })
    scope.onDispose(() => this.#scratch[Symbol.dispose]())
    this.#open()
  }

  #open(): void {
    const { directory, udsPath, guestCid, guestForwards, ports } = this.#options
    if (directory !== undefined) {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      this.#listen(connectPath(directory), (fd) => this.#greet(fd))
      for (const port of guestForwards) {
        const path = forwardPath(directory, guestCid, port)
        this.#listen(path, (fd) => this.#reach(fd, port))
        this.#link(forwardLink(directory, port), basename(path))
      }
    }
    if (udsPath !== undefined) this.#listen(udsPath, (fd) => this.#greet(fd))
    for (const { port, path, mode } of ports) {
      if (mode === "connect") this.#listen(path, (fd) => this.#reach(fd, port))
    }
  }

  #listen(path: string, accepted: (fd: number) => void): void {
    rmSync(path, { force: true })
    const fd = check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
    const pause = this.#scope.timer(() => listening.modify(sys.EPOLLIN))
    const listening: Registration = this.#scope.adopt(fd, sys.EPOLLIN, () => {
      if (this.#accept(fd, accepted)) return
      // No descriptors are left: the client waits in the backlog until some are.
      this.counters.crowded++
      listening.modify(0)
      pause.after(CROWDED_MS)
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

  /** Returns false where there was no descriptor for a client. */
  #accept(listening: number, accepted: (fd: number) => void): boolean {
    const fd = sys.accept(listening, sys.SOCK_NONBLOCK)
    if (fd < 0) return fd !== -sys.EMFILE
    this.counters.accepted++
    accepted(fd)
    return true
  }

  #greet(fd: number): void {
    if (this.#greeting >= GREETERS_MAX) {
      this.counters.crowded++
      sys.close(fd)
      return
    }
    this.#greeting++
    greet({
      scope: this.#scope,
      fd,
      guestCid: this.#options.guestCid,
      deadlineMs: GREETING_MS,
      bounce: this.#bounce,
      onGreeted: (client, port, dialect) => {
        this.#greeting--
        this.#reach(client, port, dialect)
      },
      onRefused: (reason) => {
        this.#greeting--
        this.counters.refused++
        this.refusals[reason] = (this.refusals[reason] ?? 0) + 1
      },
    })
  }

  #reach(fd: number, port: number, dialect?: Dialect): void {
    this.device.connectGuest(port, {
      fd,
      onOpened: (connection) => {
        const answer = dialect === undefined ? undefined : welcome(dialect, connection)
        if (answer === undefined) return
        this.#bounce.bytes.set(answer)
        // A socket that was just accepted has room for a line.
        sys.send(fd, this.#bounce.address, answer.length, sys.MSG_DONTWAIT)
      },
    })
  }

  /** The socket of a host service: a map of its own, then the directory's, then the one beside the Firecracker socket. */
  #connectService(port: number): number {
    const { directory, udsPath } = this.#options
    const mapped = this.#services.get(port)
    if (mapped !== undefined) return connectUnix(mapped)
    const paths = [
      ...(directory === undefined ? [] : [servicePath(directory, port)]),
      ...(udsPath === undefined ? [] : [firecrackerServicePath(udsPath, port)]),
    ]
    const path = paths.find((each) => existsSync(each))
    return path === undefined ? -sys.ENOENT : connectUnix(path)
  }
}

/** Connects without waiting: a descriptor, or `-errno`. */
export function connectUnix(path: string): number {
  const fd = sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK)
  if (fd < 0) return fd
  const result = sys.connect(fd, { family: "unix", path })
  if (result === 0) return fd
  sys.close(fd)
  return result
}
