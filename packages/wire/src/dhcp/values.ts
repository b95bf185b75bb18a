/**
 * Values of options, to bytes and back.
 *
 * `dhcp` 0.2.20 has a table of options and of their kinds, and codes most of them right. Those it does not are here: 61 is bytes and no
 * text, 81 and 82 it does not know, 119 is a list of names (RFC 3397), 121 and 249 are routes (RFC 3442).
 *
 * @module
 */
import table from "dhcp/lib/options.js"
import SeqBuffer from "dhcp/lib/seqbuffer.js"
import {
  CLASSLESS_ROUTES,
  CLIENT_FQDN,
  CLIENT_IDENTIFIER,
  DOMAIN_SEARCH,
  MICROSOFT_CLASSLESS_ROUTES,
  RELAY_AGENT,
} from "./codes.ts"
import { decodeNames } from "./names.ts"
import { decodeRoutes, type Route } from "./routes.ts"

export type OptionValue =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | readonly Route[]
  | Uint8Array

const ROUTES: ReadonlySet<number> = new Set([CLASSLESS_ROUTES, MICROSOFT_CLASSLESS_ROUTES])
const BYTES: ReadonlySet<number> = new Set([CLIENT_IDENTIFIER, CLIENT_FQDN, RELAY_AGENT])
const VALUE_MAX = 255
/** Code and length. */
const PREFIX = 2

/** Bytes of each of a kind; the kinds that are used of the package. */
const SIZES: Readonly<Record<string, number>> = {
  UInt8: 1,
  UInt16: 2,
  UInt32: 4,
  Int32: 4,
  IP: 4,
  IPs: 4,
  UInt8s: 1,
  UInt16s: 2,
  ASCII: 1,
}

/**
 * The bytes of one value of an option that is an address, a list of addresses, a number, a list of numbers or text. For the rest there are
 * `encodeNames` and `encodeRoutes`. Throws for a code that the table does not have and for a value not of its kind: both are the caller's.
 */
export function encode(
  code: number,
  value: number | string | readonly number[] | readonly string[],
): Uint8Array {
  const kind = table.opts[code]?.type
  if (kind === undefined || SIZES[kind] === undefined || ROUTES.has(code) || code === DOMAIN_SEARCH) {
    throw new RangeError(`Cannot encode option ${code}: its kind is not known`)
  }
  // One byte each, or the package counts characters and writes others.
  const plain =
    typeof value === "string" ? Buffer.from(value, "ascii").toString("latin1").slice(0, VALUE_MAX) : value
  const buffer = new SeqBuffer(undefined, PREFIX + VALUE_MAX)
  buffer.addOptions({ [code]: plain })
  return Uint8Array.from(buffer._data.subarray(PREFIX, Math.max(PREFIX, buffer._w)))
}

/** The value of an option by its kind: bytes where no kind is known, undefined where its length is not of its kind. Never throws. */
export function decode(code: number, bytes: Uint8Array): OptionValue | undefined {
  if (BYTES.has(code)) return bytes
  if (ROUTES.has(code)) return decodeRoutes(bytes)
  if (code === DOMAIN_SEARCH) return decodeNames(bytes)
  const kind = table.opts[code]?.type
  const size = kind === undefined ? undefined : SIZES[kind]
  if (kind === undefined || size === undefined) return bytes
  const many = kind.endsWith("s") || kind === "ASCII"
  if (many ? bytes.length === 0 || bytes.length % size !== 0 : bytes.length !== size) return undefined
  return read(kind, new SeqBuffer(Buffer.from(bytes)), bytes.length)
}

/** What people call an option. */
export function nameOf(code: number): string {
  return table.opts[code]?.name ?? `option ${code}`
}

function read(kind: string, buffer: SeqBuffer, length: number): OptionValue | undefined {
  switch (kind) {
    case "UInt8":
      return buffer.getUInt8()
    case "UInt16":
      return buffer.getUInt16()
    case "UInt32":
      return buffer.getUInt32()
    case "Int32":
      return buffer.getInt32()
    case "IP":
      return buffer.getIP()
    case "IPs":
      return buffer.getIPs(length)
    case "UInt8s":
      return buffer.getUInt8s(length)
    case "UInt16s":
      return buffer.getUInt16s(length)
    case "ASCII":
      return buffer.getASCII(length)
    default:
      return undefined
  }
}
