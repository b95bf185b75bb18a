/**
 * Names of files, which are bytes in no encoding, as text: in paths that the guest is told (SHARES.md), in events for people, as keys.
 *
 * @module
 */

const SLASH = 0x2f
const PERCENT = 0x25
const SPACE = 0x20
const DELETE = 0x7f
const ESCAPES = Array.from({ length: 256 }, (_, byte) =>
  byte > SPACE && byte < DELETE && byte !== PERCENT
    ? String.fromCharCode(byte)
    : `%${byte.toString(16).padStart(2, "0")}`,
)

/** Writes what is not printable ASCII, the space and the percent sign as `%hh`. */
export function encode(bytes: Uint8Array): string {
  let text = ""
  for (const byte of bytes) text += ESCAPES[byte] ?? ""
  return text
}

/** The bytes of an encoded name; undefined where it is none. */
export function decode(text: string): Uint8Array | undefined {
  const bytes: number[] = []
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code !== PERCENT) {
      if (code <= SPACE || code >= DELETE) return undefined
      bytes.push(code)
      continue
    }
    const digits = text.slice(at + 1, at + 3)
    if (!/^[0-9a-fA-F]{2}$/.test(digits)) return undefined
    bytes.push(Number.parseInt(digits, 16))
    at += 2
  }
  return Uint8Array.from(bytes)
}

/** For people: UTF-8 where it is. */
export function readable(encoded: string): string {
  return Buffer.from(decode(encoded) ?? []).toString("utf8")
}

/** A key for a name in a directory. */
export function placeKey(parent: number, name: Uint8Array): string {
  return `${parent}/${Buffer.from(name.buffer, name.byteOffset, name.length).toString("latin1")}`
}

/** Whether it could be a name at all. */
export function isName(name: Uint8Array): boolean {
  return name.length > 0 && name.length <= 255 && !name.includes(0) && !name.includes(SLASH)
}

export function sameName(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}
