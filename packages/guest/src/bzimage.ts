/**
 * Takes the kernel proper out of a bzImage, so that a hypervisor can start it directly (PVH) and the guest need not
 * unpack itself: a quarter of a second under emulation.
 *
 * Layout: the x86 boot protocol (Documentation/arch/x86/boot.rst): `setup_sects` at 0x1f1, `HdrS` at 0x202,
 * `payload_offset` and `payload_length` at 0x248 and 0x24c, counted from the end of the setup sectors; the last four
 * bytes of the payload are its unpacked size.
 *
 * @module
 */
import * as elf from "./elf.ts"
import * as lz4 from "./lz4.ts"

const SECTOR = 512
const HEADER_END = 0x250
const SIZE_BYTES = 4

/** Returns the ELF kernel inside, or undefined if the file is no bzImage or packed in another way than LZ4. */
export function parse(bzImage: Buffer): Buffer | undefined {
  if (bzImage.length < HEADER_END || bzImage.toString("latin1", 0x202, 0x206) !== "HdrS") return undefined
  const start = (bzImage.readUInt8(0x1f1) + 1) * SECTOR + bzImage.readUInt32LE(0x248)
  const end = start + bzImage.readUInt32LE(0x24c) - SIZE_BYTES
  if (end + SIZE_BYTES > bzImage.length || end <= start) return undefined
  const kernel = lz4.parseLegacy(bzImage.subarray(start, end))
  if (kernel?.length !== bzImage.readUInt32LE(end) || !elf.isElf(kernel)) return undefined
  return kernel
}
