/**
 * Container images without a registry: programs of this host with their libraries, on top of busybox.
 *
 * @module
 */
import { copyFileSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { importRoot } from "./busybox.ts"
import { run, type Skep } from "./skep.ts"

export interface HostImage {
  readonly name: string
  /** Programs and libraries that are loaded by name, by their absolute paths. */
  readonly programs: readonly string[]
  /** Directories that go with them. */
  readonly trees?: readonly string[]
  /** Symbolic links, as path and target. */
  readonly links?: Readonly<Record<string, string>>
  /** Users beside root, with their number: for programs that look their own up. */
  readonly users?: Readonly<Record<string, number>>
}

/** Makes the image in the machine `default`. */
export async function imageFromHost(skep: Skep, image: HostImage): Promise<void> {
  const { name, programs, trees = [], links = {}, users = {} } = image
  const libraries = await librariesOf(programs)
  await importRoot(skep, name, async (rootfs) => {
    const inside = (path: string): string => {
      const there = join(rootfs, path)
      mkdirSync(dirname(there), { recursive: true })
      return there
    }
    for (const file of new Set([...programs, ...libraries])) copyFileSync(file, inside(file))
    for (const tree of trees) cpSync(tree, inside(tree), { recursive: true, verbatimSymlinks: true })
    for (const [path, target] of Object.entries(links)) symlinkSync(target, inside(path))
    const entries = Object.entries({ root: 0, ...users }).map(([user, id]) => ({ user, id }))
    const accounts = entries.map(({ user, id }) => `${user}:x:${id}:${id}::/:/bin/sh\n`)
    writeFileSync(inside("/etc/passwd"), accounts.join(""))
    writeFileSync(inside("/etc/group"), entries.map(({ user, id }) => `${user}:x:${id}:\n`).join(""))
  })
}

async function librariesOf(files: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await run("ldd", files, { check: false }) // says 1 where one is linked to nothing
  return [...stdout.matchAll(/^\t(?:.* => )?(\/\S+) \(0x/gm)].map(([, file = ""]) => file)
}
