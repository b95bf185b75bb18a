/**
 * Internet Protocol of either version.
 *
 * @module
 */
import { readable, u8 } from "./bytes.ts"
import type { IpFields, IpView, Malformed } from "./ip-view.ts"
import * as ipv4 from "./ipv4.ts"
import * as ipv6 from "./ipv6.ts"

export {
  type IpFields,
  type IpView,
  ipView,
  isFragment,
  type Malformed,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  pretty,
} from "./ip-view.ts"

/** Reads the packet at `at` into `into`, by the version it says. Bytes up to `head` can be read; the frame goes up to `end`. */
export function parse(
  bytes: Uint8Array,
  at: number,
  head: number,
  end: number,
  into: IpView,
): IpView | Malformed {
  if (!readable(bytes, at, Math.min(head, end), 1)) return "truncated"
  const version = u8(bytes, at) >> 4
  if (version === 4) return ipv4.parse(bytes, at, head, end, into)
  return version === 6 ? ipv6.parse(bytes, at, head, end, into) : "bad-version"
}

/** Writes the header that the addresses call for. Returns its size. */
export function emit(bytes: Uint8Array, at: number, fields: IpFields): number {
  if (fields.source.length === 4) {
    ipv4.emit(bytes, at, fields)
    return ipv4.HEADER
  }
  ipv6.emit(bytes, at, fields)
  return ipv6.HEADER
}

/** Changes a header that `emit` wrote to that of another packet between the same two. IPv6 has no use for the identification. */
export function renew(bytes: Uint8Array, at: number, payloadLength: number, identification: number): void {
  if (u8(bytes, at) >> 4 === 4) ipv4.renew(bytes, at, payloadLength, identification)
  else ipv6.renew(bytes, at, payloadLength)
}

/** Bytes of the header that `emit` writes for addresses of this length. */
export function headerSize(addressLength: number): number {
  return addressLength === 4 ? ipv4.HEADER : ipv6.HEADER
}
