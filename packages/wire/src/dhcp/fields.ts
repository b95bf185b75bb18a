/**
 * The option fields of a message: where options lie, and in how many pieces.
 *
 * ```
 *   44        108            236      240
 *  ─┬─────────┬──────────────┬────────┬───────────────────────
 *   │ sname   │ file         │ cookie │ options …
 *  ─┴─────────┴──────────────┴────────┴───────────────────────
 *    ▲ 3rd      ▲ 2nd                   ▲ 1st; option 52 says which of the others hold options too
 * ```
 *
 * RFC 2131, section 4.1; RFC 2132, section 9.3; RFC 3396 for options in pieces.
 *
 * @module
 */
import { END, OVERLOAD, PAD } from "./codes.ts"
import { HEADER, type Malformed } from "./message.ts"

export const SERVER_NAME_AT = 44
export const BOOT_FILE_AT = 108
export const COOKIE_AT = 236

/** Bits of option 52. */
export const OVERLOAD_FILE = 1
export const OVERLOAD_NAME = 2

export interface Fields {
  readonly options: Map<number, Uint8Array>
  /** OVERLOAD_FILE and OVERLOAD_NAME, or 0. */
  readonly overload: number
}

/** By code, in the order they came. */
type Pieces = Map<number, Uint8Array[]>

/** Reads the options of the message at `at`, which has its fixed part whole. Never throws, never reads past `end`. */
export function readFields(bytes: Uint8Array, at: number, end: number): Fields | Malformed {
  const pieces: Pieces = new Map()
  const first = readField(bytes, at + HEADER, end, pieces)
  if (first !== undefined) return first
  const overload = overloadOf(pieces.get(OVERLOAD))
  if (overload === undefined) return "bad-option"
  // RFC 3396, section 5: the options field, then file, then sname.
  const places = [
    { bit: OVERLOAD_FILE, from: BOOT_FILE_AT, to: COOKIE_AT },
    { bit: OVERLOAD_NAME, from: SERVER_NAME_AT, to: BOOT_FILE_AT },
  ]
  for (const { bit, from, to } of places) {
    const bad = (overload & bit) === 0 ? undefined : readField(bytes, at + from, at + to, pieces)
    if (bad !== undefined) return bad
  }
  pieces.delete(OVERLOAD)
  const options = new Map([...pieces].map(([code, values]) => [code, joined(values)]))
  return { options, overload }
}

/** 0 where nothing is said. Undefined where it is nothing that can be said. */
function overloadOf(said: readonly Uint8Array[] | undefined): number | undefined {
  if (said === undefined) return 0
  const [overload = 0, ...more] = joined(said)
  return more.length > 0 || overload < 1 || overload > 3 ? undefined : overload
}

/** A field need not have an end: some clients leave it out where the datagram ends. */
function readField(bytes: Uint8Array, from: number, end: number, into: Pieces): Malformed | undefined {
  let at = from
  while (at < end) {
    const code = bytes[at]
    at++
    if (code === PAD) continue
    if (code === END || code === undefined) return undefined
    const length = at < end ? bytes[at] : undefined
    if (length === undefined || at + 1 + length > end) return "truncated-option"
    const value = bytes.subarray(at + 1, at + 1 + length)
    const before = into.get(code)
    if (before === undefined) into.set(code, [value])
    else before.push(value)
    at += 1 + length
  }
  return undefined
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [first, ...more] = pieces
  return first !== undefined && more.length === 0 ? first : Uint8Array.from(Buffer.concat(pieces))
}
