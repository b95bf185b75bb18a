/**
 * What a vsock has to be given for its contract suite: the options it is started with, and a guest that the suite can make act.
 *
 * @module
 */
import { join } from "node:path"
import type { Duplex } from "node:stream"
import type { VsockRunning } from "@skep/contract"

/** A guest behind the vsock under test. */
export interface VsockGuest {
  /** Takes every stream to a port of the guest until it is disposed. Streams allow half-open. */
  listen(port: number, onStream: (stream: Duplex) => void): Promise<AsyncDisposable>
  /** Connects to a port of the host. Rejects where that is refused. */
  connect(hostPort: number): Promise<Duplex>
}

/** How the vsock under test is to be started; the names are those of our own sidecar's options. */
export interface VsockSetup {
  readonly guestCid: number
  readonly directory: string
  readonly guestForwards: readonly number[]
  readonly udsPath: string
  readonly ports: readonly {
    readonly port: number
    readonly path: string
    readonly mode: "listen" | "connect"
  }[]
  /** The host's ports that cases serve, for a vsock that has to know them. */
  readonly services: readonly number[]
}

export interface VsockFixture extends AsyncDisposable {
  /** Started with `setup`. */
  readonly vsock: VsockRunning
  readonly setup: VsockSetup
  readonly guest: VsockGuest
}

export interface VsockSuite {
  readonly name: string
  open(): Promise<VsockFixture>
  /** Cases that this vsock cannot pass, by name, with the reason; they are printed as skips. */
  readonly gaps?: Readonly<Record<string, string>>
  /** Why none of it can be run on this machine; then every case is printed as a skip. */
  readonly unavailable?: string | undefined
}

/** Guest ports: one for any case, one with a socket of its own in the directory, one with a map. */
export const GUEST_PORT = 5000
export const FORWARDED_PORT = 2376
export const MAPPED_PORT = 1024
/** The host's ports: with a service in the directory, beside Firecracker's socket, by a map, with nobody behind it, never told of. */
export const HYPERKIT_SERVICE = 7000
export const FIRECRACKER_SERVICE = 7001
export const MAPPED_SERVICE = 7002
export const DEAD_SERVICE = 7003
export const UNTOLD_SERVICE = 7004

/** The setup of the suite, with all sockets under `root`, a short path. */
export function vsockSetup(root: string): VsockSetup {
  return {
    guestCid: 3,
    directory: join(root, "v"),
    guestForwards: [FORWARDED_PORT],
    udsPath: join(root, "fc.sock"),
    ports: [
      { port: MAPPED_PORT, path: join(root, "in.sock"), mode: "connect" },
      { port: MAPPED_SERVICE, path: join(root, "out.sock"), mode: "listen" },
    ],
    services: [HYPERKIT_SERVICE, FIRECRACKER_SERVICE, DEAD_SERVICE],
  }
}

/** Eight lower-case hex digits, as HyperKit names ports. */
export function hex(value: number): string {
  return value.toString(16).padStart(8, "0")
}

/** Where the role looks for a service of the host, or listens for the guest's port that has a map. */
export const paths = {
  connect: ({ directory }: VsockSetup): string => join(directory, "connect"),
  forward: ({ directory, guestCid }: VsockSetup): string =>
    join(directory, `${hex(guestCid)}.${hex(FORWARDED_PORT)}`),
  forwardLink: ({ directory }: VsockSetup): string => join(directory, `guest.${hex(FORWARDED_PORT)}`),
  service: ({ directory }: VsockSetup, port: number): string => join(directory, `00000002.${hex(port)}`),
  firecrackerService: ({ udsPath }: VsockSetup, port: number): string => `${udsPath}_${port}`,
  map: ({ ports }: VsockSetup, mode: "listen" | "connect"): string =>
    ports.find((each) => each.mode === mode)?.path ?? "",
}
