/**
 * Writes a cpio archive in the "newc" format, the one the Linux kernel unpacks as an initial RAM disk
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * ```
 * "070701" ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
 *          (13 numbers of 8 hexadecimal digits) | name NUL, padded to 4 | data, padded to 4
 * ```
 * Owner is always root and the time always 0, so equal entries give equal bytes.
 *
 * @module
 */
import type { Entry } from "./tree.ts"

const MAGIC = "070701"
const TRAILER = "TRAILER!!!"
const FILE = 0o100000
const DIRECTORY = 0o040000
const SYMLINK = 0o120000

/** Returns the archive that holds `entries` in their order; a parent directory must come before what it holds. */
export function emit(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = []
  entries.forEach((entry, index) => {
    parts.push(...record(entry.path, index + 1, mode(entry), body(entry), entry.type === "directory" ? 2 : 1))
  })
  parts.push(...record(TRAILER, 0, 0, Buffer.alloc(0), 1))
  return Buffer.concat(parts)
}

function mode(entry: Entry): number {
  switch (entry.type) {
    case "file":
      return FILE | entry.mode
    case "directory":
      return DIRECTORY | entry.mode
    case "symlink":
      return SYMLINK | 0o777
  }
}

function body(entry: Entry): Buffer {
  switch (entry.type) {
    case "file":
      return entry.data
    case "directory":
      return Buffer.alloc(0)
    case "symlink":
      return Buffer.from(entry.target)
  }
}

function record(name: string, inode: number, fileMode: number, data: Buffer, links: number): Buffer[] {
  const encoded = Buffer.from(name)
  const fields = [inode, fileMode, 0, 0, links, 0, data.length, 0, 0, 0, 0, encoded.length + 1, 0]
  const header = Buffer.from(MAGIC + fields.map((field) => field.toString(16).padStart(8, "0")).join(""))
  return [padded(Buffer.concat([header, encoded, Buffer.alloc(1)])), padded(data)]
}

function padded(bytes: Buffer): Buffer {
  const missing = (4 - (bytes.length % 4)) % 4
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)])
}
