/**
 * The files of this package that go into an image, and the hash of the whole recipe.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Arch, recipe } from "./recipe.ts"
import { type FileEntry, file } from "./tree.ts"

/** Our own files: the root's, with paths below it, the first program of the initrd, the links to busybox. */
export interface Sources {
  readonly root: readonly FileEntry[]
  readonly init: Buffer
  readonly applets: readonly string[]
}

const PACKAGE = fileURLToPath(new URL("..", import.meta.url))

/** Reads the files. Only the executable bit of their modes counts: the rest depends on who checked them out. */
export async function readSources(directory: string = PACKAGE): Promise<Sources> {
  const rootfs = join(directory, "rootfs")
  const root: FileEntry[] = []
  for (const each of await readdir(rootfs, { recursive: true, withFileTypes: true })) {
    if (!each.isFile()) continue
    const path = join(each.parentPath, each.name)
    const { mode } = await stat(path)
    root.push(file(path.slice(rootfs.length + 1), (mode & 0o111) === 0 ? 0o644 : 0o755, await readFile(path)))
  }
  const list = await readFile(join(directory, "applets.txt"), "utf8")
  return {
    root: root.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    init: await readFile(join(directory, "initrd/init")),
    applets: list
      .split("\n")
      .filter((line) => !line.startsWith("#"))
      .flatMap((line) => line.split(" "))
      .filter((name) => name !== ""),
  }
}

/** Returns what identifies the recipe: a change of any part of it, and of nothing else, changes it. */
export async function recipeHash(arch: Arch, directory: string = PACKAGE): Promise<string> {
  const sources = await readSources(directory)
  const hash = createHash("sha256")
    .update(JSON.stringify(recipe(arch)))
    .update(sources.init)
    .update(JSON.stringify(sources.applets))
  for (const each of sources.root)
    hash.update(JSON.stringify([each.path, each.mode, each.data.length])).update(each.data)
  return hash.digest("hex")
}
