/**
 * Unpacks the "legacy" LZ4 frame in which the kernel's build packs `vmlinux`
 * (lz4_Frame_format.md, "Legacy frame"; lz4_Block_format.md).
 *
 * ```
 * frame  magic 0x184c2102, then blocks: u32le size, data; each unpacks to at most 8 MiB
 * block  sequences: token (literals 4 bits | match 4 bits), more literal length, literals, u16le offset, more match length
 * ```
 *
 * @module
 */

const MAGIC = 0x184c2102
const BLOCK = 8 << 20
const MINIMUM_MATCH = 4
const MORE = 15

/** Returns the unpacked bytes; undefined if `bytes` is no such frame or is damaged. Trailing bytes are left alone. */
export function parseLegacy(bytes: Buffer): Buffer | undefined {
  if (bytes.length < 8 || bytes.readUInt32LE(0) !== MAGIC) return undefined
  const blocks: Buffer[] = []
  for (let at = 4; at + 4 <= bytes.length; ) {
    const size = bytes.readUInt32LE(at)
    at += 4
    if (size === 0 || at + size > bytes.length) break
    const out = Buffer.alloc(BLOCK)
    const length = unpack(bytes.subarray(at, at + size), out)
    if (length === undefined) return undefined
    blocks.push(out.subarray(0, length))
    at += size
  }
  return Buffer.concat(blocks)
}

/** Unpacks one block into `out` and returns its length, or undefined if the block is damaged. */
function unpack(block: Buffer, out: Buffer): number | undefined {
  let from = 0
  let to = 0
  /** A length of 15 goes on in further bytes, up to and with the first that is not 255. */
  const whole = (length: number): number => {
    if (length < MORE) return length
    let total = length
    let byte = 255
    while (byte === 255 && from < block.length) {
      byte = block.readUInt8(from++)
      total += byte
    }
    return total
  }
  while (from < block.length) {
    const token = block.readUInt8(from++)
    const literals = whole(token >> 4)
    if (from + literals > block.length || to + literals > out.length) return undefined
    block.copy(out, to, from, from + literals)
    from += literals
    to += literals
    if (from === block.length) return to
    if (from + 2 > block.length) return undefined
    const offset = block.readUInt16LE(from)
    from += 2
    const length = whole(token & MORE) + MINIMUM_MATCH
    if (offset === 0 || offset > to || to + length > out.length) return undefined
    repeat(out, to, offset, length)
    to += length
  }
  return to
}

/** Copies `length` bytes from `offset` before `to`; the two may overlap, then the pattern repeats. */
function repeat(out: Buffer, to: number, offset: number, length: number): void {
  if (offset >= length) {
    out.copyWithin(to, to - offset, to - offset + length)
    return
  }
  for (let copied = 0; copied < length; copied += offset) {
    out.copyWithin(to + copied, to - offset, to - offset + Math.min(offset, length - copied))
  }
}
