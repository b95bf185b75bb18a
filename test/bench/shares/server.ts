/**
 * A server of files in the benchmark: how it is started for a directory of the host, and mounted in the guest.
 *
 * @module
 */
import type { Started } from "../network/process.ts"

export interface Place {
  /** The directory of the host that it serves. */
  readonly source: string
  /** Its own, for sockets and state. */
  readonly directory: string
  readonly log: string
  /** The namespace in which QEMU runs, whose loopback the guest reaches as 10.0.2.2. */
  readonly namespace: string
  /** Of the server's own in that namespace. */
  readonly port: number
}

export interface Served {
  readonly program: Started
  /** The vhost-user socket of a virtiofs server. */
  readonly socket?: string
  /** Words of `mount` between "mount" and the mount point; `TAG` is replaced. */
  readonly mount: string
  /** Where in the mounted tree the shared directory is. */
  readonly within: string
}

export interface Server {
  /** As bars and tables name it. */
  readonly name: string
  readonly kind: "virtiofs" | "nfs"
  /** Why it cannot take part here, if so. */
  readonly missing: () => string | undefined
  /** Resolves when it can be connected to. */
  readonly serve: (place: Place) => Promise<Served>
}
