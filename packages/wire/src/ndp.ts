/**
 * Neighbor Discovery, RFC 4861: the four messages by which stations and routers find each other, in ICMPv6. Recursive DNS servers in
 * advertisements are of RFC 8106. The ICMPv6 checksum is left to `transport.finish`.
 *
 * ```
 *                   0      1      2          4                8
 * solicit router   | 133  | 0    | checksum | 0               | options …
 * advertise router | 134  | 0    | checksum | hops flags life | reachable | retransmit | options …
 * solicit          | 135  | 0    | checksum | 0               | target (16) | options …
 * advertise        | 136  | 0    | checksum | R S O …         | target (16) | options …
 *
 * option: type | length in units of 8 | …
 * ```
 *
 * @module
 */
import { formatAt, isMulticast, type Prefix, prefixOf } from "./address.ts"
import { copy, putU8, putU16, putU32, putU48, readable, u8, u16, u32, u48 } from "./bytes.ts"
import * as mac from "./mac.ts"

export const ROUTER_SOLICITATION = 133
export const ROUTER_ADVERTISEMENT = 134
export const SOLICITATION = 135
export const ADVERTISEMENT = 136

/** Messages with another hop limit came from further away, and are void (RFC 4861, section 6.1 and 7.1). */
export const HOP_LIMIT = 255

const CODE = 1
const FLAGS = 4
const TARGET = 8
const SOLICITATION_SIZE = 24
const ROUTER_SOLICITATION_SIZE = 8
const ROUTER_ADVERTISEMENT_SIZE = 16

const FLAG_ROUTER = 0x8000_0000
const FLAG_SOLICITED = 0x4000_0000
const FLAG_OVERRIDE = 0x2000_0000
const FLAG_MANAGED = 0x80
const FLAG_OTHER = 0x40
const FLAG_ON_LINK = 0x80
const FLAG_AUTONOMOUS = 0x40

const OPTION_SOURCE = 1
const OPTION_TARGET = 2
const OPTION_PREFIX = 3
const OPTION_MTU = 5
const OPTION_RDNSS = 25
const UNIT = 8
const PREFIX_UNITS = 4
/** So many servers fit the option, whose length is a byte. */
const SERVERS_MAX = 127

/** A solicitation or an advertisement of a neighbour, or a solicitation of routers. */
export interface View {
  type: number
  /** Where the target's address is; -1 where routers are solicited. */
  targetAt: number
  /** The MAC address that the message tells: of its sender, in an advertisement of its target. -1 where absent. */
  linkAddress: number
  router: boolean
  solicited: boolean
  override: boolean
}

/** What a router says of itself and of the network. */
export interface RouterAdvertisement {
  /** What hosts are to put into their packets; 0 says nothing about it. */
  readonly hopLimit: number
  /** Addresses are to be had by DHCPv6. */
  readonly managed: boolean
  /** Other things are to be had by DHCPv6. */
  readonly other: boolean
  /** How long it will do as default router; 0 says that it will not. */
  readonly lifetimeSeconds: number
  readonly reachableMs: number
  readonly retransmitMs: number
  /** -1 where absent. */
  readonly linkAddress: number
  /** 0 where absent. */
  readonly mtu: number
  readonly prefixes: readonly AdvertisedPrefix[]
  readonly servers: readonly Uint8Array[]
  readonly serversLifetimeSeconds: number
}

export interface AdvertisedPrefix {
  readonly prefix: Prefix
  /** Its addresses are neighbours. */
  readonly onLink: boolean
  /** Hosts may make themselves an address of it. */
  readonly autonomous: boolean
  readonly validSeconds: number
  readonly preferredSeconds: number
}

export type Malformed =
  | "truncated"
  | "bad-type"
  | "bad-code"
  /** A group cannot be asked for. */
  | "bad-target"
  /** An option of no length, or one that does not end within the message. */
  | "bad-option"

export function view(): View {
  return { type: 0, targetAt: -1, linkAddress: -1, router: false, solicited: false, override: false }
}

/**
 * Reads the ICMPv6 message at `at` into `into`: anything but an advertisement of a router. Bytes up to `head` can be read; the IP payload goes up
 * to `end`, and all of it has to be readable. The hop limit and the checksum are the caller's to check.
 */
export function parse(
  bytes: Uint8Array,
  at: number,
  head: number,
  end: number,
  into: View,
): View | Malformed {
  if (head < end || !readable(bytes, at, end, Math.max(ROUTER_SOLICITATION_SIZE, end - at)))
    return "truncated"
  const type = u8(bytes, at)
  const size = sizeOf(type)
  if (size === 0) return "bad-type"
  const wrong = check(bytes, at, end, size)
  if (wrong !== undefined) return wrong
  const flags = type === ADVERTISEMENT ? u32(bytes, at + FLAGS) : 0
  into.type = type
  into.targetAt = type === ROUTER_SOLICITATION ? -1 : at + TARGET
  into.router = (flags & FLAG_ROUTER) !== 0
  into.solicited = (flags & FLAG_SOLICITED) !== 0
  into.override = (flags & FLAG_OVERRIDE) !== 0
  const option = findOption(bytes, at + size, end, type === ADVERTISEMENT ? OPTION_TARGET : OPTION_SOURCE)
  into.linkAddress = option === -1 ? -1 : u48(bytes, option + 2)
  return into
}

/** Reads an advertisement of a router. Off the packet path: an object for each. */
export function parseRouterAdvertisement(
  bytes: Uint8Array,
  at: number,
  end: number,
): RouterAdvertisement | Malformed {
  if (!readable(bytes, at, end, Math.max(ROUTER_ADVERTISEMENT_SIZE, end - at))) return "truncated"
  if (u8(bytes, at) !== ROUTER_ADVERTISEMENT) return "bad-type"
  if (u8(bytes, at + CODE) !== 0) return "bad-code"
  const options = at + ROUTER_ADVERTISEMENT_SIZE
  if (!optionsOk(bytes, options, end)) return "bad-option"
  const link = findOption(bytes, options, end, OPTION_SOURCE)
  const mtu = findOption(bytes, options, end, OPTION_MTU)
  const rdnss = findOption(bytes, options, end, OPTION_RDNSS)
  return {
    hopLimit: u8(bytes, at + 4),
    managed: (u8(bytes, at + 5) & FLAG_MANAGED) !== 0,
    other: (u8(bytes, at + 5) & FLAG_OTHER) !== 0,
    lifetimeSeconds: u16(bytes, at + 6),
    reachableMs: u32(bytes, at + 8),
    retransmitMs: u32(bytes, at + 12),
    linkAddress: link === -1 ? -1 : u48(bytes, link + 2),
    mtu: mtu === -1 ? 0 : u32(bytes, mtu + 4),
    prefixes: readPrefixes(bytes, options, end),
    servers: rdnss === -1 ? [] : readServers(bytes, rdnss),
    serversLifetimeSeconds: rdnss === -1 ? 0 : u32(bytes, rdnss + 4),
  }
}

/** Writes a question for who has `target`, and says who asks. Returns its size. */
export function emitSolicitation(
  bytes: Uint8Array,
  at: number,
  target: Uint8Array,
  linkAddress: number,
): number {
  emitHead(bytes, at, SOLICITATION, 0)
  copy(target, 0, 16, bytes, at + TARGET)
  return emitLinkAddress(bytes, at + SOLICITATION_SIZE, OPTION_SOURCE, linkAddress) - at
}

/** What an advertisement of a neighbour says. */
export interface Advertisement {
  readonly target: Uint8Array
  readonly linkAddress: number
  readonly router: boolean
  /** It answers a solicitation that came from an address. */
  readonly solicited: boolean
  /** What is known otherwise is to be forgotten. */
  readonly override: boolean
}

/** Writes an answer. Returns its size. */
export function emitAdvertisement(bytes: Uint8Array, at: number, fields: Advertisement): number {
  const router = fields.router ? FLAG_ROUTER : 0
  const solicited = fields.solicited ? FLAG_SOLICITED : 0
  emitHead(bytes, at, ADVERTISEMENT, router | solicited | (fields.override ? FLAG_OVERRIDE : 0))
  copy(fields.target, 0, 16, bytes, at + TARGET)
  return emitLinkAddress(bytes, at + SOLICITATION_SIZE, OPTION_TARGET, fields.linkAddress) - at
}

/** Writes a question for routers. Returns its size. */
export function emitRouterSolicitation(bytes: Uint8Array, at: number, linkAddress: number): number {
  emitHead(bytes, at, ROUTER_SOLICITATION, 0)
  return emitLinkAddress(bytes, at + ROUTER_SOLICITATION_SIZE, OPTION_SOURCE, linkAddress) - at
}

/** Writes what a router says. Returns its size. */
export function emitRouterAdvertisement(bytes: Uint8Array, at: number, fields: RouterAdvertisement): number {
  emitHead(bytes, at, ROUTER_ADVERTISEMENT, 0)
  putU8(bytes, at + 4, fields.hopLimit)
  putU8(bytes, at + 5, (fields.managed ? FLAG_MANAGED : 0) | (fields.other ? FLAG_OTHER : 0))
  putU16(bytes, at + 6, fields.lifetimeSeconds)
  putU32(bytes, at + 8, fields.reachableMs)
  putU32(bytes, at + 12, fields.retransmitMs)
  let cursor = emitLinkAddress(bytes, at + ROUTER_ADVERTISEMENT_SIZE, OPTION_SOURCE, fields.linkAddress)
  if (fields.mtu !== 0) {
    putU32(bytes, cursor, (OPTION_MTU << 24) | (1 << 16))
    putU32(bytes, cursor + 4, fields.mtu)
    cursor += UNIT
  }
  for (const prefix of fields.prefixes) cursor = emitPrefix(bytes, cursor, prefix)
  return emitServers(bytes, cursor, fields) - at
}

const NAMES: Readonly<Record<number, string>> = {
  [ROUTER_SOLICITATION]: "solicit routers",
  [SOLICITATION]: "solicit",
  [ADVERTISEMENT]: "advertise",
}

/** One line: `ndp solicit fd00::2, from 5a:94:ef:e4:0c:dd`. */
export function pretty(bytes: Uint8Array, message: Readonly<View>): string {
  const name = NAMES[message.type] ?? `type ${message.type}`
  const target = message.targetAt === -1 ? "" : ` ${formatAt(bytes, message.targetAt, 16)}`
  const link = message.linkAddress === -1 ? "" : `, ${mac.format(message.linkAddress)}`
  const flags = [
    message.router ? " router" : "",
    message.solicited ? " solicited" : "",
    message.override ? " override" : "",
  ].join("")
  return `ndp ${name}${target}${link}${flags === "" ? "" : `,${flags}`}`
}

/** Bytes before the options, or 0 where `parse` does not read this type. */
function sizeOf(type: number): number {
  if (type === ROUTER_SOLICITATION) return ROUTER_SOLICITATION_SIZE
  return type === SOLICITATION || type === ADVERTISEMENT ? SOLICITATION_SIZE : 0
}

function check(bytes: Uint8Array, at: number, end: number, size: number): Malformed | undefined {
  if (u8(bytes, at + CODE) !== 0) return "bad-code"
  if (end - at < size) return "truncated"
  if (size === SOLICITATION_SIZE && isMulticast(bytes, at + TARGET, 16)) return "bad-target"
  return optionsOk(bytes, at + size, end) ? undefined : "bad-option"
}

function emitHead(bytes: Uint8Array, at: number, type: number, rest: number): void {
  putU32(bytes, at, type << 24)
  putU32(bytes, at + FLAGS, rest)
}

function emitLinkAddress(bytes: Uint8Array, at: number, option: number, linkAddress: number): number {
  if (linkAddress === -1) return at
  putU8(bytes, at, option)
  putU8(bytes, at + 1, 1)
  putU48(bytes, at + 2, linkAddress)
  return at + UNIT
}

function emitPrefix(bytes: Uint8Array, at: number, prefix: AdvertisedPrefix): number {
  putU8(bytes, at, OPTION_PREFIX)
  putU8(bytes, at + 1, PREFIX_UNITS)
  putU8(bytes, at + 2, prefix.prefix.length)
  putU8(bytes, at + 3, (prefix.onLink ? FLAG_ON_LINK : 0) | (prefix.autonomous ? FLAG_AUTONOMOUS : 0))
  putU32(bytes, at + 4, prefix.validSeconds)
  putU32(bytes, at + 8, prefix.preferredSeconds)
  putU32(bytes, at + 12, 0)
  copy(prefix.prefix.address, 0, 16, bytes, at + 16)
  return at + PREFIX_UNITS * UNIT
}

function emitServers(bytes: Uint8Array, at: number, fields: RouterAdvertisement): number {
  const servers = fields.servers.slice(0, SERVERS_MAX)
  if (servers.length === 0) return at
  putU8(bytes, at, OPTION_RDNSS)
  putU8(bytes, at + 1, 1 + 2 * servers.length)
  putU16(bytes, at + 2, 0)
  putU32(bytes, at + 4, fields.serversLifetimeSeconds)
  servers.forEach((server, index) => {
    copy(server, 0, 16, bytes, at + UNIT + index * 16)
  })
  return at + UNIT + servers.length * 16
}

/** RFC 4861, section 6.1 and 7.1: all options have a length greater than zero; and here, one that fits. */
function optionsOk(bytes: Uint8Array, from: number, end: number): boolean {
  let at = from
  while (at < end) {
    const size = end - at < UNIT ? 0 : u8(bytes, at + 1) * UNIT
    if (size === 0 || size > end - at) return false
    at += size
  }
  return true
}

/** The next option of this type, of those that are ok, or -1. */
function findOption(bytes: Uint8Array, from: number, end: number, type: number): number {
  for (let at = from; at < end; at += u8(bytes, at + 1) * UNIT) if (u8(bytes, at) === type) return at
  return -1
}

function readPrefixes(bytes: Uint8Array, from: number, end: number): AdvertisedPrefix[] {
  const prefixes: AdvertisedPrefix[] = []
  for (let at = findOption(bytes, from, end, OPTION_PREFIX); at !== -1; ) {
    const length = u8(bytes, at + 2)
    if (u8(bytes, at + 1) === PREFIX_UNITS && length <= 128) {
      const flags = u8(bytes, at + 3)
      prefixes.push({
        prefix: prefixOf(bytes.slice(at + 16, at + 32), length),
        onLink: (flags & FLAG_ON_LINK) !== 0,
        autonomous: (flags & FLAG_AUTONOMOUS) !== 0,
        validSeconds: u32(bytes, at + 4),
        preferredSeconds: u32(bytes, at + 8),
      })
    }
    at = findOption(bytes, at + u8(bytes, at + 1) * UNIT, end, OPTION_PREFIX)
  }
  return prefixes
}

function readServers(bytes: Uint8Array, at: number): Uint8Array[] {
  const count = (u8(bytes, at + 1) - 1) >> 1
  return Array.from({ length: count }, (_, index) => {
    const from = at + UNIT + index * 16
    return bytes.slice(from, from + 16)
  })
}
