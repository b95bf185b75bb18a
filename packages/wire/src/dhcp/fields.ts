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

/** Reads the options of the message at `at`, which has its fixed part whole. Never throws, never reads past `end`. */
export function readFields(bytes: Uint8Array, at: number, end: number): Fields | Malformed {
  const options = new Map<number, Uint8Array>()
  const first = readField(bytes, at + HEADER, end, options)
  if (first !== undefined) return first
  const said = options.get(OVERLOAD)
  options.delete(OVERLOAD)
  if (said === undefined) return { options, overload: 0 }
  const overload = said[0]
  if (said.length !== 1 || overload === undefined || overload < 1 || overload > 3) return "bad-option"
  // RFC 3396, section 5: the options field, then file, then sname.
  if ((overload & OVERLOAD_FILE) !== 0) {
    const bad = readField(bytes, at + BOOT_FILE_AT, at + COOKIE_AT, options)
    if (bad !== undefined) return bad
  }
  if ((overload & OVERLOAD_NAME) !== 0) {
    const bad = readField(bytes, at + SERVER_NAME_AT, at + BOOT_FILE_AT, options)
    if (bad !== undefined) return bad
  }
  options.delete(OVERLOAD) // said within another field it means nothing
  return { options, overload }
}

/** A field need not have an end: some clients leave it out where the datagram ends. */
function readField(
  bytes: Uint8Array,
  from: number,
  end: number,
  into: Map<number, Uint8Array>,
): Malformed | undefined {
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
    into.set(code, before === undefined ? value : joined(before, value))
    at += 1 + length
  }
  return undefined
}

/** A message of 64 KiB holds 32 Ki pieces: joining them one by one must not take for ever, so a value ends growing here. */
const VALUE_MAX = 1024

function joined(before: Uint8Array, piece: Uint8Array): Uint8Array {
  if (before.length + piece.length > VALUE_MAX) return before
  const whole = new Uint8Array(before.length + piece.length)
  whole.set(before)
  whole.set(piece, before.length)
  return whole
}
