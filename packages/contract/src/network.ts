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
}

/** A forward in place. Disposing it removes the listener; a second disposal does nothing more. */
export interface Forward extends AsyncDisposable {
  readonly rule: ForwardRule
}

export interface NetworkStatus {
  readonly forwards: readonly ForwardRule[]
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
