/**
 * Property lists of macOS, XML and binary, as values: for reading only.
 *
 * A reader of our own: bplist-parser 0.5, the one that is kept, follows what a hostile file says (tried: it overflows on a list within itself, and does not come back from one of
 * 60 bytes that doubles with each level). Here a count of values and of levels bounds that.
 *
 * @module
 */
import { MAGIC, parseBinary } from "./binary.ts"
import { Malformed, type Value } from "./value.ts"
import { parseXml } from "./xml.ts"

export { type Dictionary, isDictionary, isList, Malformed, type Value } from "./value.ts"

const FILE_MAX = 1024 * 1024
const HEAD = 512

export function isPropertyList(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes.subarray(0, HEAD)).toString("utf8")
  return (
    head.startsWith("bplist") ||
    /^\uFEFF?\s*(<\?xml[^>]*>\s*)?(<!--[^]*?-->\s*)*<(!DOCTYPE plist|plist)\b/.test(head)
  )
}

/** Never throws; Malformed is what is wrong. */
export function parsePropertyList(bytes: Uint8Array): Value | Malformed {
  if (bytes.length > FILE_MAX) return new Malformed(1, "a property list of more than 1 MiB")
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    return buffer.toString("latin1", 0, MAGIC.length) === MAGIC
      ? parseBinary(buffer)
      : parseXml(buffer.toString("utf8").replace(/^\uFEFF/, ""))
  } catch (error) {
    if (error instanceof Malformed) return error
    throw error
  }
}
