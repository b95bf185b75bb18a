/**
 * The adapter's loop: the host's sockets of `@skep/vsock-host` on one side, the guest's on the other, and relays between them.
 *
 * @module
 */
import type { Scope } from "@skep/loop"
import { type Region, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { acceptClients } from "@skep/vhost-user"
import { HostSockets } from "@skep/vsock-host"
import type { Dialect } from "@skep/vsock-host/dialect"
import { awaitConnected } from "./dialing.ts"
import type { GuestSockets } from "./guest-sockets.ts"
import type { VhostVsockOptions } from "./options.ts"
import { Relay } from "./relay.ts"

const BOUNCE = 64 * 1024
const CONNECT_MS = 5000

export class RelayBridge {
  readonly #options: VhostVsockOptions
  readonly #scope: Scope
  readonly #guest: GuestSockets
  readonly #host: HostSockets
  readonly #scratch = new Scratch(BOUNCE)
  readonly #bounce: Region = this.#scratch.region("bounce", BOUNCE)
  readonly #counts = {
    connected: 0,
    "guest-refused": 0,
    "service-refused": 0,
    strangers: 0,
    "bytes-to-guest": 0,
    "bytes-to-host": 0,
  }
  #dialing = 0
  #relays = 0

  /** Opens every socket. `services` are the host's ports to listen on. Throws the `SystemError` of the first that cannot be had. */
  constructor(
    scope: Scope,
    options: VhostVsockOptions,
    {
      guest,
      services,
    }: {
      readonly guest: GuestSockets
      readonly services: readonly number[]
    },
  ) {
    this.#options = options
    this.#scope = scope
    this.#guest = guest
    scope.onDispose(() => this.#scratch[Symbol.dispose]())
    this.#host = new HostSockets({
      scope,
      host: options,
      inUse: () => 2 * (this.#dialing + this.#relays),
      onClient: (fd, port, dialect) => this.#reach(fd, port, dialect),
    })
    for (const port of services) this.#listen(port)
  }

  /** Streams, and those that wait for the guest to accept. */
  get streams(): number {
    return this.#relays + this.#dialing
  }

  counts(): Readonly<Record<string, number>> {
    return { ...this.#counts, ...this.#host.counters, ...this.#host.refusals }
  }

  #listen(port: number): void {
    acceptClients({
      scope: this.#scope,
      fd: this.#guest.listen(port),
      hasRoom: () => this.#host.hasRoom,
      onClient: (fd) => this.#serve(fd, port),
      onPause: () => this.#host.counters.crowded++,
    })
  }

  /** The guest, or somebody else, connected to a port of the host. */
  #serve(guest: number, port: number): void {
    if (!this.#guest.isGuest(guest)) {
      this.#counts.strangers++
      sys.close(guest)
      return
    }
    const host = this.#host.connectService(port)
    if (host < 0) {
      this.#counts["service-refused"]++
      sys.close(guest)
      return
    }
    this.#join(guest, host)
  }

  /** A client of the host wants a port of the guest. */
  #reach(host: number, port: number, dialect: Dialect | undefined): void {
    const refuse = (): void => {
      this.#counts["guest-refused"]++
      sys.close(host)
    }
    const guest = this.#guest.connect(port)
    if (guest < 0) return refuse()
    this.#dialing++
    const forget = this.#scope.onDispose(() => sys.close(host))
    awaitConnected({
      scope: this.#scope,
      fd: guest,
      deadlineMs: this.#options.connectMs ?? CONNECT_MS,
      onConnected: () => {
        forget()
        this.#dialing--
        this.#host.welcome(host, dialect, this.#guest.hostPort(guest))
        this.#join(guest, host)
      },
      onFailed: () => {
        forget()
        this.#dialing--
        refuse()
      },
    })
  }

  #join(guest: number, host: number): void {
    this.#relays++
    this.#counts.connected++
    new Relay({
      scope: this.#scope,
      guest,
      host,
      bounce: this.#bounce,
      onBytes: (direction, bytes) => {
        this.#counts[direction === "toGuest" ? "bytes-to-guest" : "bytes-to-host"] += bytes
      },
      onEnd: () => {
        this.#relays--
      },
    })
  }
}
