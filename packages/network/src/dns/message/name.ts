/**
 * Domain names in messages, RFC 1035 section 3.1 and 4.1.4.
 *
 * ```
 *  │ 3 │ w w w │ 4 │ s k e p │ 0 │          labels, each after its length, until the root
 *  │ 3 │ w w w │ 1 1 ─ offset ─ │          or until a pointer to an earlier place
 * ```
 *
 * @module
 */
import { u8, u16 } from "@skep/wire/bytes"
import type { Malformed } from "./message.ts"

/** Octets of a name with all its lengths, RFC 1035 section 2.3.4. */
const NAME_MAX = 255
/** Compressed names seldom take two; each more is somebody's joke. */
const POINTERS_MAX = 16
const HEADER = 12
const POINTER = 0xc0

export interface Name {
  /**
   * In lower case, without the last dot; "" is the root. What is neither printable nor harmless stands as `\DDD`, so two names are equal exactly
   * if their texts are.
   */
  readonly text: string
  /** Where what follows the name begins. */
  readonly next: number
}

/** Reads the name at `at`. Pointers only lead back, and never into the header: each step shortens what is left. */
export function parseName(bytes: Uint8Array, at: number, end: number): Name | Malformed {
  let text = ""
  let next = 0
  let from = at
  let bound = at
  let octets = 1
  let pointers = 0
  for (;;) {
    if (from >= end) return "truncated"
    const length = u8(bytes, from)
    if (length === 0) return { text, next: next === 0 ? from + 1 : next }
    if ((length & POINTER) === POINTER) {
      if (from + 2 > end) return "truncated"
      const target = u16(bytes, from) & 0x3fff
      if (target < HEADER || target >= bound || ++pointers > POINTERS_MAX) return "bad-pointer"
      if (next === 0) next = from + 2
      from = target
      bound = target
      continue
    }
    if ((length & POINTER) !== 0) return "bad-label"
    octets += length + 1
    if (octets > NAME_MAX) return "name-too-long"
    if (from + 1 + length > end) return "truncated"
    text += (text === "" ? "" : ".") + labelText(bytes, from + 1, length)
    from += 1 + length
  }
}

const UPPER_A = 0x41
const UPPER_Z = 0x5a
const DOT = 0x2e
const BACKSLASH = 0x5c

function labelText(bytes: Uint8Array, at: number, length: number): string {
  let text = ""
  for (let index = at; index < at + length; index++) {
    const code = u8(bytes, index)
    if (code >= UPPER_A && code <= UPPER_Z) text += String.fromCharCode(code + 32)
    else if (code <= 0x20 || code >= 0x7f || code === DOT || code === BACKSLASH)
      text += `\\${String(code).padStart(3, "0")}`
    else text += String.fromCharCode(code)
  }
  return text
}

/** Brings a name that a person or a file gave into the form of `Name.text`. */
export function canonicalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "")
}

/** Whether `name` is `zone` or below it. Everything is below the root, "". */
export function isWithin(name: string, zone: string): boolean {
  return zone === "" || name === zone || name.endsWith(`.${zone}`)
}

/** Letters, digits, hyphens and underscores, in labels of 1 to 63: what a resolver library takes without question. */
export function isHostName(name: string): boolean {
  return name.length <= NAME_MAX - 2 && /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/.test(name)
}
