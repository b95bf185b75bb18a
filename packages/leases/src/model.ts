/**
 * What every lease file says, whatever its format: which address is whose, until when, and where that is written.
 *
 * @module
 */

/**
 * Bytes as text, two lower-case hexadecimal digits each, colons between them: `52:54:00:0c:9c:22`. Two of them are equal where their bytes are, so they
 * can be compared and be keys, and a hundred thousand of them take a fifth of the memory of arrays.
 */
export type Octets = string

/** Hardware type of Ethernet (RFC 1700), and the type byte of a client identifier that is a hardware address of it. */
export const ETHERNET = 1

/**
 * - "bound": given to a client until `expires`; whether that is over is for whoever knows the time
 * - "reserved": kept for a client by whoever wrote the file
 * - "declined": a client found that somebody else has the address
 * - "free": the entry is there, but the address is nobody's
 * - "superseded": a later entry of this file says something newer about the address
 */
export type LeaseState = "bound" | "reserved" | "declined" | "free" | "superseded"

/** Where an entry is: lines from 1, the last one included; bytes from 0, `end` not included. */
export interface Source {
  readonly path: string
  readonly line: number
  readonly lastLine: number
  readonly start: number
  readonly end: number
}

/** One entry of a lease file. Several may be of one address or of one client. */
export interface Lease {
  /** IPv4 as a dotted quad, IPv6 as RFC 5952 wants it. */
  readonly address: string
  /** 1 is Ethernet. Missing with `hardware`. */
  readonly hardwareType?: number | undefined
  readonly hardware?: Octets | undefined
  /** Option 61 with its type byte; the DUID where the address is of IPv6. */
  readonly clientId?: Octets | undefined
  /** What the client calls itself, whatever bytes that are: for comparison. For people there is `shown`. */
  readonly name?: string | undefined
  /** The machine that it is of, where the file says it. */
  readonly machine?: string | undefined
  /** Milliseconds of the epoch; Infinity where it never ends; missing where the file does not say. */
  readonly expires?: number | undefined
  readonly state: LeaseState
  readonly source: Source
}

/** A range of addresses that a server gives out, as a file says it. IPv4. */
export interface Network {
  /** What the file calls it. */
  readonly name?: string | undefined
  /** The first address of the network: "192.168.64.0". */
  readonly address: string
  /** "255.255.255.0" */
  readonly mask: string
  /** The server's own address, which is nobody else's. */
  readonly server?: string | undefined
  /** The first and the last address that are given to clients, where the file says them. */
  readonly first?: string | undefined
  readonly last?: string | undefined
  /** How long a lease lasts, where the file says it. */
  readonly leaseSeconds?: number | undefined
}

/** What is not understood, and where: then the file is not for us to rewrite. */
export interface Problem {
  /** From 1. */
  readonly line: number
  /** Without a period at the end; text of the file in it is made fit for a terminal. */
  readonly sentence: string
}

/** A lease file as it was read. */
export interface Document {
  readonly format: string
  readonly path: string
  /** The whole file. Whoever changes them changes the document. */
  readonly bytes: Uint8Array
  /** In the order of the file. */
  readonly leases: readonly Lease[]
  readonly networks: readonly Network[]
  /** In the order of the file; of very many only the first. */
  readonly problems: readonly Problem[]
  /** False where the file ends in the middle of something. Then there is a problem as well. */
  readonly complete: boolean
}

/** The Ethernet address of a lease, where it has one. */
export function macOf({ hardwareType, hardware, clientId }: Lease): Octets | undefined {
  if (hardwareType === ETHERNET && hardware !== undefined && hardware.length === MAC_TEXT) return hardware
  if (hardware !== undefined || clientId === undefined) return undefined
  return clientId.startsWith("01:") && clientId.length === MAC_TEXT + 3 ? clientId.slice(3) : undefined
}

const MAC_TEXT = 17

/** To be compared: what does not say when it ends is later than all that does. */
export function expiryOf({ expires }: Lease): number {
  return expires ?? Number.POSITIVE_INFINITY
}

/** Bytes as `Octets`. */
export function octetsOf(bytes: Uint8Array): Octets {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":")
}

/** The bytes of `Octets`. */
export function bytesOf(octets: Octets): Uint8Array {
  return octets === ""
    ? new Uint8Array()
    : Uint8Array.from(octets.split(":"), (digits) => Number.parseInt(digits, 16))
}

const SHOWN_MAX = 80
/** ASCII that is printed as it is, but for the backslash. */
const PLAIN = /^[ -[\]-~]*$/

/**
 * Text of a file for people: what would move a cursor, break a line or turn the direction of writing becomes `\x1b` or `\u202e`, a backslash
 * becomes two, and what is very long ends in an ellipsis.
 */
export function shown(text: string): string {
  // Nearly all of it is so, and there may be a hundred thousand.
  if (text.length <= SHOWN_MAX && PLAIN.test(text)) return text
  const short = text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text
  return short.replaceAll(/[\\\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]/gu, (found) => {
    if (found === "\\") return "\\\\"
    const point = found.codePointAt(0) ?? 0
    if (point < 0x100) return `\\x${point.toString(16).padStart(2, "0")}`
    return point < 0x1_0000 ? `\\u${point.toString(16).padStart(4, "0")}` : `\\u{${point.toString(16)}}`
  })
}
