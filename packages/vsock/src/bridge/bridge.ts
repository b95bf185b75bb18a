/**
 * A vsock device and the host's sockets around it: who connects to a port of the guest, and whom the guest reaches.
 *
 * @module
 */
import type { Scope } from "@skep/loop"
import { type HostCounters, HostSockets } from "@skep/vsock-host"
import type { Dialect } from "@skep/vsock-host/dialect"
import { journalPath, type VsockOptions } from "../options.ts"
import { VsockDevice } from "./device.ts"
import { JournalFile } from "./journal-file.ts"

export type BridgeCounters = HostCounters

export class Bridge {
  readonly device: VsockDevice
  readonly #sockets: HostSockets

  /** Opens every socket. Throws the `SystemError` of the first that cannot be; then none is left. */
  constructor(scope: Scope, options: VsockOptions, firstHostPort?: number) {
    const { guestCid, limits } = options
    this.device = new VsockDevice({
      scope,
      guestCid,
      limits,
      services: { connect: (port) => this.#sockets.connectService(port) },
      journal: new JournalFile({ path: journalPath(options), guestCid, maxStreams: limits.maxStreams }),
      ...(firstHostPort === undefined ? {} : { firstHostPort }),
    })
    this.#sockets = new HostSockets({
      scope,
      host: options,
      inUse: () => this.device.hosts,
      onClient: (fd, port, dialect) => this.#reach(fd, port, dialect),
    })
  }

  get counters(): BridgeCounters {
    return this.#sockets.counters
  }

  /** Why clients were refused, by reason. */
  get refusals(): HostSockets["refusals"] {
    return this.#sockets.refusals
  }

  #reach(fd: number, port: number, dialect: Dialect | undefined): void {
    this.device.connectGuest(port, {
      fd,
      onOpened: ({ hostPort }) => this.#sockets.welcome(fd, dialect, hostPort),
    })
  }
}
