/**
 * The frame by which a network learns where a machine is now: a reverse ARP request that nobody answers (RFC 903; QEMU sends the same after a
 * migration).
 *
 * ```
 *  │ ff:ff:ff:ff:ff:ff │ mac │ 0x8035 │ 1 │ 0x0800 │ 6 │ 4 │ 3 │ mac │ 0.0.0.0 │ mac │ 0.0.0.0 │ padding to 60 │
 * ```
 *
 * @module
 */

/** The least that an Ethernet frame has. */
export const ANNOUNCEMENT = 60

const MAC = 6
const FIXED: readonly (readonly [at: number, bytes: readonly number[]])[] = [
  [0, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
  [12, [0x80, 0x35, 0, 1, 0x08, 0, 6, 4, 0, 3]],
]
const PLACES_OF_MAC = [6, 22, 32]

/** Writes `ANNOUNCEMENT` bytes for the machine with the address `mac`, six bytes. */
export function emit(bytes: Uint8Array, at: number, mac: Uint8Array): void {
  bytes.fill(0, at, at + ANNOUNCEMENT)
  for (const [place, fixed] of FIXED) bytes.set(fixed, at + place)
  for (const place of PLACES_OF_MAC) bytes.set(mac.subarray(0, MAC), at + place)
}
