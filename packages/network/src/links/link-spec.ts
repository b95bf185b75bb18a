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
  /** What the gateway answers this machine with, and nobody else, whatever the policy is. */
  readonly services?: readonly GatewayService[]
}

/** A Unix socket of the host that a machine reaches by TCP, at any address of the gateway. */
export interface GatewayService {
  /** Not 53, which is the gateway's own. */
  readonly port: number
  readonly socket: string
}

/** Services of one machine. */
export const SERVICES_MAX = 16

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
