/**
 * MAC addresses: 48-bit numbers on the packet path, text elsewhere. IEEE 802-2014, section 8.
 *
 * @module
 */
export const BROADCAST = 0xffff_ffff_ffff

const TEXT = /^[0-9a-f]{1,2}([:-])[0-9a-f]{1,2}(\1[0-9a-f]{1,2}){4}$/i
const GROUP = 0x0100_0000_0000
/** RFC 2464, section 7: 33-33, then the last four bytes of the group. */
const GROUP_IPV6 = 0x3333_0000_0000

/** Reads `02:00:5e:10:00:01`; dashes for colons and single digits, as macOS writes them, will do. */
export function parse(text: string): number | "bad-mac" {
  const separator = TEXT.exec(text)?.[1]
  if (separator === undefined) return "bad-mac"
  return text.split(separator).reduce((value, part) => value * 256 + Number.parseInt(part, 16), 0)
}

/** Lower case, colons, two digits each. */
export function format(mac: number): string {
  return mac
    .toString(16)
    .padStart(12, "0")
    .replaceAll(/..(?!$)/g, "$&:")
}

/** Whether it is for a group of stations, all of them included; no station sends from such an address. */
export function isGroup(mac: number): boolean {
  return Math.floor(mac / GROUP) % 2 === 1
}

/** The address of an IPv6 multicast group, of whose address this is the last 32 bits. */
export function ofIpv6Group(last32: number): number {
  return GROUP_IPV6 + last32
}
