/**
 * What the benchmark needs of a program that gives a guest its network.
 *
 * @module
 */
import type { Started } from "./process.ts"

/** A TAP interface that the program makes in the guest's namespace, or a Unix socket with QEMU's framing where it listens. */
export type LinkKind = "tap" | "stream"

export interface PeerContext {
  /** Files of the network namespaces. The program runs in the host's. */
  readonly host: string
  readonly guest: string
  /** Of this peer alone. */
  readonly directory: string
  /** Name of the TAP interface to make in the guest's namespace, or path of the socket to listen at. */
  readonly link: string
  /** A TCP and UDP port of every address of the host that leads to the same of the guest. */
  readonly port: number
  readonly log: string
}

/** The guest's configuration, as the program wants it. */
export interface GuestAddress {
  readonly address: string
  readonly prefix: number
  readonly gateway: string
  /** Where the guest finds the host's loopback. */
  readonly host: string
}

export interface RunningPeer {
  readonly program: Started
  /** Called when the guest is configured: what the program takes only then. */
  readonly configured?: () => Promise<void>
}

export interface Peer {
  /** The program, as bars name it. */
  readonly name: string
  /** What it is set to, if that is one of several ways. */
  readonly variant: string
  readonly kind: LinkKind
  readonly mtu: number
  readonly guest: GuestAddress
  /** Why it cannot be measured here. */
  readonly missing: () => string | undefined
  /** Resolves when the program runs; its link may take a moment longer. */
  readonly start: (context: PeerContext) => Promise<RunningPeer>
}

export function labelOf(peer: Peer): string {
  return `${peer.name} ${peer.variant}`
}
