/**
 * Who frames of a flow go to, and in whose name.
 *
 * @module
 */

/** Addresses are of one version. */
export interface Ends {
  readonly guestMac: number
  readonly gatewayMac: number
  readonly guest: Uint8Array
  readonly guestPort: number
  /** Whom the guest talks to: an address of the network, of the host, or beyond. */
  readonly other: Uint8Array
  readonly otherPort: number
}
