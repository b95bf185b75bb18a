/**
 * A file tree as entries: what the build collects before it writes an initial RAM disk or a root.
 *
 * @module
 */
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"

export interface FileEntry {
  readonly type: "file"
  /** Relative, without a leading slash. */
  readonly path: string
  readonly mode: number
  readonly data: Buffer
}

export interface DirectoryEntry {
  readonly type: "directory"
  readonly path: string
  readonly mode: number
}

export interface LinkEntry {
  readonly type: "symlink"
  readonly path: string
  readonly target: string
}

export type Entry = FileEntry | DirectoryEntry | LinkEntry

export function file(path: string, mode: number, data: Buffer | string): FileEntry {
  return { type: "file", path, mode, data: typeof data === "string" ? Buffer.from(data) : data }
}

export function directory(path: string, mode = 0o755): DirectoryEntry {
  return { type: "directory", path, mode }
}

export function link(path: string, target: string): LinkEntry {
  return { type: "symlink", path, target }
}

/** Returns the entries in the order of their paths, with all their parent directories before them. */
export function complete(entries: Iterable<Entry>): readonly Entry[] {
  const all = new Map<string, Entry>()
  for (const entry of entries) {
    for (let at = entry.path.indexOf("/"); at > 0; at = entry.path.indexOf("/", at + 1)) {
      const parent = entry.path.slice(0, at)
      if (!all.has(parent)) all.set(parent, directory(parent))
    }
    all.set(entry.path, entry)
  }
  return [...all.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

/** Writes the entries below `root`, which must not exist. Modes do not depend on the umask. */
export async function write(root: string, entries: Iterable<Entry>): Promise<void> {
  await mkdir(root)
  await chmod(root, 0o755)
  for (const entry of complete(entries)) {
    const path = join(root, entry.path)
    switch (entry.type) {
      case "file":
        await writeFile(path, entry.data)
        await chmod(path, entry.mode)
        break
      case "directory":
        await mkdir(path)
        await chmod(path, entry.mode)
        break
      case "symlink":
        await symlink(entry.target, path)
        break
    }
  }
}
