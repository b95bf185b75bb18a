/**
 * Lists of domain names as in RFC 3397 (option 119): labels of RFC 1035, section 3.1, compressed within the option (section 4.1.4).
 *
 * @module
 */

const LABEL_MAX = 63
const NAME_MAX = 255
const POINTER = 0xc0
/** So many names are read of one option at most. */
const NAMES_MAX = 64

/** The list without compression: clients that cannot follow pointers read it too. Throws for names that are none: the caller's. */
export function encodeNames(names: readonly string[]): Uint8Array {
  return Uint8Array.from(names.flatMap((name) => encodeName(name)))
}

function encodeName(name: string): readonly number[] {
  const labels = name.replace(/\.$/, "").split(".")
  const bytes = [...labels.flatMap((label) => [label.length, ...Buffer.from(label, "latin1")]), 0]
  const fits = labels.every((label) => label.length > 0 && label.length <= LABEL_MAX && isAscii(label))
  if (!fits || bytes.length > NAME_MAX) throw new RangeError(`Cannot encode "${name}": it is no domain name`)
  return bytes
}

/** Undefined where the bytes are no such list. */
export function decodeNames(bytes: Uint8Array): readonly string[] | undefined {
  const names: string[] = []
  let at = 0
  while (at < bytes.length && names.length < NAMES_MAX) {
    const found = decodeName(bytes, at)
    if (found === undefined) return undefined
    names.push(found.name)
    at = found.end
  }
  return names.length === 0 ? undefined : names
}

/** The name at `at`, and where what follows it begins. Undefined where there is none. */
export function decodeName(bytes: Uint8Array, from: number): { name: string; end: number } | undefined {
  const labels: string[] = []
  let at = from
  let end = 0
  let length = 1
  for (;;) {
    const count = bytes[at]
    if (count === undefined) return undefined
    if (count === 0) break
    if (count >= POINTER) {
      const low = bytes[at + 1]
      const target = ((count & ~POINTER) << 8) | (low ?? 0)
      // Backwards only, and each step counts towards the bound: so it ends.
      if (low === undefined || target >= at) return undefined
      if (end === 0) end = at + 2
      at = target
      length += 1
      if (length > NAME_MAX) return undefined
      continue
    }
    length += count + 1
    if (count > LABEL_MAX || length > NAME_MAX || at + 1 + count > bytes.length) return undefined
    labels.push(Buffer.from(bytes.subarray(at + 1, at + 1 + count)).toString("latin1"))
    at += 1 + count
  }
  if (labels.length === 0) return undefined
  return { name: labels.join("."), end: end === 0 ? at + 1 : end }
}

function isAscii(label: string): boolean {
  return /^[\x21-\x7e]*$/.test(label)
}
