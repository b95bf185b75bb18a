/**
 * What a link is made of: the machine's name, and where its frames come from.
 *
 * @module
 */

interface AnyLink {
  /** A name of DNS, one label: the machine's name on the network, and that of its link. */
  readonly machine: string
  /** `02:00:5e:10:00:01`: frames from any other source are dropped. Any source is welcome unless told. */
  readonly mac?: string
  /** The network's unless told. */
  readonly mtu?: number
}

/** The back end of a vhost-user NIC: QEMU or a keeper connects to the socket. */
export interface VhostUserLink extends AnyLink {
  readonly kind: "vhost-user"
  readonly socket: string
}

/** QEMU's `-netdev stream`: it connects to the socket. */
export interface QemuLink extends AnyLink {
  readonly kind: "qemu"
  readonly socket: string
}

/** A TAP interface, which is created where it is not there. */
export interface TapLink extends AnyLink {
  readonly kind: "tap"
  readonly interface: string
  /** The path of a network namespace, or the id of a process in it; ours unless told. */
  readonly netns?: string | number
}

export type LinkSpec = VhostUserLink | QemuLink | TapLink

/** The socket that the link listens on; undefined for one that has none. */
export function socketOf(spec: LinkSpec): string | undefined {
  return spec.kind === "tap" ? undefined : spec.socket
}
