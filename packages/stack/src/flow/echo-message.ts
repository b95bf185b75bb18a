/**
 * Echo replies of the host on their way to a guest: the kernel has put an identifier of its own into the request, and the guest wants its own back
 * (icmp(7); RFC 792; RFC 4443, section 4.2).
 *
 * @module
 */
import type { Memory, Parts } from "@skep/link"
import { putU16 } from "@skep/wire/bytes"
import { finish, fold, sum } from "@skep/wire/checksum"
import * as icmp from "@skep/wire/icmp"
import * as icmpv6 from "@skep/wire/icmpv6"
import * as ip from "@skep/wire/ip"
import type { Ends } from "./ends.ts"

const CHECKSUM = 2
const IDENTIFIER = 4

/** Makes the message in the first of `payload` the guest's. Returns false for what is no echo reply. */
export function restoreEcho(memory: Memory, payload: Parts, ends: Ends): boolean {
  const address = payload.addressAt(0)
  const header = new Uint8Array(icmp.HEADER)
  if (payload.bytes < icmp.HEADER) return false
  memory.read(address, icmp.HEADER, header, 0)
  const v4 = ends.guest.length === 4
  if (header[0] !== (v4 ? icmp.ECHO_REPLY : icmpv6.ECHO_REPLY)) return false
  putU16(header, IDENTIFIER, ends.guestPort)
  putU16(header, CHECKSUM, 0)
  memory.write(header, 0, icmp.HEADER, address)
  const seed = v4 ? 0 : pseudo(ends, payload.bytes)
  putU16(header, CHECKSUM, finish(memory.sum(address, payload.bytes, seed)))
  memory.write(header, 0, icmp.HEADER, address)
  return true
}

function pseudo({ guest, other }: Ends, length: number): number {
  return fold(sum(guest, 0, guest.length) + sum(other, 0, other.length) + ip.PROTOCOL_ICMPV6 + length)
}
