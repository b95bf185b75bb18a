/**
 * Names, callers and objects to fill, for tests that call a file system directly.
 *
 * @module
 */
import { type Caller, type FileSystem, type HowToCreate, newAttributes } from "@skep/vfs"

export const root: Caller = { uid: 0, gid: 0, pid: 1 }
export const O_RDWR = 2
export const O_EXCL = 0o200

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** The node of a path below `from`, or `-errno`. */
export function walk(fs: FileSystem, path: string, from: number = fs.root): number {
  let node = from
  for (const name of path.split("/").filter((part) => part !== "")) {
    if (node < 0) return node
    node = fs.lookup(node, bytes(name), root, newAttributes())
  }
  return node
}

/** Makes an empty file and returns its node, or `-errno`. */
export function makeFile(fs: FileSystem, parent: number, name: string): number {
  const how: HowToCreate = { flags: O_RDWR | O_EXCL, mode: 0o644, opened: -1 }
  const node = fs.create(parent, bytes(name), how, root, newAttributes())
  if (node >= 0) fs.release(how.opened)
  return node
}

export function makeDirectory(fs: FileSystem, parent: number, name: string): number {
  return fs.makeDirectory(parent, bytes(name), 0o755, root, newAttributes())
}

/** What a directory shows, as text, without its dots; in pieces of `most` entries. */
export function list(fs: FileSystem, node: number, most = Number.POSITIVE_INFINITY): readonly string[] {
  const handle = fs.openDirectory(node, root)
  const names: string[] = []
  let cookie = 0n
  for (let more = true; more; ) {
    let room = most
    more = false
    fs.readDirectory(handle, cookie, (entry) => {
      if (room-- === 0) {
        more = true
        return false
      }
      names.push(new TextDecoder().decode(entry.name))
      cookie = entry.cookie
      return true
    })
  }
  fs.releaseDirectory(handle)
  return names.filter((name) => name !== "." && name !== "..")
}
