/**
 * What the build has to know of ELF files: which libraries a program needs, and what a kernel module says of itself.
 *
 * Only 64-bit little-endian files (amd64, arm64), and only section headers: Debian keeps them in programs and modules.
 * Format: System V ABI, "Object Files" (`Elf64_Ehdr`, `Elf64_Shdr`, `Elf64_Dyn`); `.modinfo` is a list of
 * NUL-terminated `key=value` strings (include/linux/moduleparam.h).
 *
 * @module
 */

const SECTION_TABLE = 0x28
const SECTION_SIZE = 0x3a
const SECTION_COUNT = 0x3c
const SECTION_NAMES = 0x3e
const HEADER = 64
const DT_NULL = 0n
const DT_NEEDED = 1n
const DYN_ENTRY = 16

/** One section of a file: its name and where its bytes lie. */
interface Section {
  readonly name: string
  readonly start: number
  readonly end: number
}

/** Tells a 64-bit little-endian ELF file from everything else by its first bytes. */
export function isElf(bytes: Buffer): boolean {
  return bytes.length >= HEADER && bytes.readUInt32BE(0) === 0x7f454c46 && bytes[4] === 2 && bytes[5] === 1
}

/** Returns the sonames a program or library is linked against; none if it is static or no ELF file. */
export function neededLibraries(bytes: Buffer): readonly string[] {
  if (!isElf(bytes)) return []
  const all = sections(bytes)
  const dynamic = all.find((section) => section.name === ".dynamic")
  const strings = all.find((section) => section.name === ".dynstr")
  if (dynamic === undefined || strings === undefined) return []
  const names: string[] = []
  for (let at = dynamic.start; at + DYN_ENTRY <= dynamic.end; at += DYN_ENTRY) {
    const tag = bytes.readBigUInt64LE(at)
    if (tag === DT_NULL) break
    if (tag === DT_NEEDED) names.push(text(bytes, strings.start + Number(bytes.readBigUInt64LE(at + 8))))
  }
  return names
}

/** Returns the `key=value` pairs of a kernel module's `.modinfo`, in file order. */
export function moduleInfo(bytes: Buffer): readonly (readonly [key: string, value: string])[] {
  const section = isElf(bytes)
    ? sections(bytes).find((candidate) => candidate.name === ".modinfo")
    : undefined
  if (section === undefined) return []
  return bytes
    .toString("latin1", section.start, section.end)
    .split("\0")
    .filter((pair) => pair.includes("="))
    .map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)] as const)
}

function sections(bytes: Buffer): readonly Section[] {
  const table = Number(bytes.readBigUInt64LE(SECTION_TABLE))
  const size = bytes.readUInt16LE(SECTION_SIZE)
  const count = bytes.readUInt16LE(SECTION_COUNT)
  if (table === 0 || table + count * size > bytes.length) return []
  const names = span(bytes, table + bytes.readUInt16LE(SECTION_NAMES) * size)
  return Array.from({ length: count }, (_, index) => {
    const header = table + index * size
    return { name: text(bytes, names.start + bytes.readUInt32LE(header)), ...span(bytes, header) }
  })
}

function span(bytes: Buffer, header: number): { readonly start: number; readonly end: number } {
  const start = Number(bytes.readBigUInt64LE(header + 0x18))
  return { start, end: Math.min(bytes.length, start + Number(bytes.readBigUInt64LE(header + 0x20))) }
}

function text(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at)
  return bytes.toString("latin1", at, end < 0 ? bytes.length : end)
}
