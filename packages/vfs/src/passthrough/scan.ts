/**
 * All entries of a directory, getdents64(2): for those who look for a file by its number.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { u8, u32 } from "./cells.ts"
import { dots, type Memory } from "./memory.ts"

const { DIRENT64 } = sys

/** Reused from entry to entry. */
export interface Scanned {
  inoLow: number
  inoHigh: number
  type: number
  name: Uint8Array
}

/** Shows entries but `.` and `..` of an O_PATH descriptor's directory until `visit` returns false. Returns 0, or `-errno`. Not within itself. */
export function scan(memory: Memory, directory: number, visit: (entry: Scanned) => boolean): number {
  const fd = sys.openat(directory, memory.dot, sys.O_RDONLY | sys.O_DIRECTORY)
  if (fd < 0) return fd
  const { address, length, bytes, u32: words } = memory.entries
  const entry: Scanned = { inoLow: 0, inoHigh: 0, type: 0, name: bytes }
  try {
    for (;;) {
      const read = sys.getdents64(fd, address, length)
      if (read <= 0) return read
      for (let at = 0; at < read; ) {
        const size = u8(bytes, at + DIRENT64.length) | (u8(bytes, at + DIRENT64.length + 1) << 8)
        const start = at + DIRENT64.name
        entry.name = bytes.subarray(start, bytes.indexOf(0, start))
        entry.inoLow = u32(words, at >> 2)
        entry.inoHigh = u32(words, (at >> 2) + 1)
        entry.type = u8(bytes, at + DIRENT64.type)
        if (dots(entry.name, entry.name.length) === 0 && !visit(entry)) return 0
        at += size
      }
    }
  } finally {
    sys.close(fd)
  }
}
