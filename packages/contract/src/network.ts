/**
 * The network role: what gives a machine its network, and leads host ports into it.
 *
 * @module
 */
import type { Counters, Running } from "./sidecar.ts"

export type Transport = "tcp" | "udp"

/** A host listener leading to a guest address. */
export interface ForwardRule {
  readonly transport: Transport
  /** An IP address of the host; "0.0.0.0" only if it was asked for. */
  readonly hostAddress: string
  /** 1 to 65535. */
  readonly hostPort: number
  /** An IP address of the guest, or undefined for the guest's own address. */
  readonly guestAddress?: string
  readonly guestPort: number
  /** The machine that it leads to, on a network of several; without it the one that has been there longest. */
  readonly machine?: string
  /** Who asked for it, in a word of theirs such as "docker". Not part of which rule it is: who asks for a rule again owns it from then on. */
  readonly owner?: string
}

/** A forward in place. Disposing it removes the listener; a second disposal does nothing more. */
export interface Forward extends AsyncDisposable {
  readonly rule: ForwardRule
}

/** A machine on a network. */
export interface NetworkMachine {
  readonly name: string
  /** Whether somebody is at the other end of its link. */
  readonly connected: boolean
  /** `02:00:5e:10:00:01`; not there before the machine has said anything. */
  readonly mac?: string
  readonly address?: string
  readonly address6?: string
  readonly counters: Counters
}

export interface NetworkStatus {
  readonly forwards: readonly ForwardRule[]
  /** Where the network tells its machines apart. */
  readonly machines?: readonly NetworkMachine[]
  readonly counters: Counters
}

export interface NetworkRunning extends Running<NetworkStatus> {
  /**
   * Resolves when the listener is there. Codes: "address-in-use", "permission-denied" (a port below 1024, or an address
   * that is not the host's), "bad-options", "unsupported" (this network cannot do that rule, such as IPv6).
   * A rule that is in place already is adopted, so a restarted caller may ask for all its rules again.
   */
  forward(rule: ForwardRule): Promise<Forward>
}
