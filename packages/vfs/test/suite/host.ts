/**
 * A directory of the host asked by Node's own calls: what a random sequence of operations has to come to, kernel's word.
 *
 * @module
 */
import {
  chmodSync,
  closeSync,
  constants,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs"
import { join } from "node:path"
import { type Answer, bytes, type Rig, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, sure } from "./rig.ts"

/** Names from a directory down. */
export type Path = readonly string[]

export type Step =
  | { readonly does: "directory" | "file" | "symlink" | "unlink" | "rmdir"; readonly at: Path }
  | { readonly does: "link" | "rename"; readonly at: Path; readonly to: Path }
  | { readonly does: "write"; readonly at: Path; readonly offset: number; readonly content: string }
  | { readonly does: "truncate"; readonly at: Path; readonly size: number }
  | { readonly does: "chmod"; readonly at: Path; readonly mode: number }

/** One line for each file: path, type and permissions, links, and what is in it. */
export type Picture = readonly string[]

/** No directory: what the host follows in the middle of a path is refused as what we do not follow. */
const TARGET = "/dev/null"

/** Does a step by the host's own calls: 0, or the name of the error. */
export function doOnHost(root: string, step: Step): Answer {
  const at = join(root, ...step.at)
  try {
    switch (step.does) {
      case "directory":
        mkdirSync(at, 0o755)
        break
      case "file":
        closeSync(openSync(at, "wx", 0o644))
        break
      case "symlink":
        symlinkSync(TARGET, at)
        break
      case "unlink":
        unlinkSync(at)
        break
      case "rmdir":
        rmdirSync(at)
        break
      case "link":
        linkSync(at, join(root, ...step.to))
        break
      case "rename":
        renameSync(at, join(root, ...step.to))
        break
      case "chmod":
        withFile(at, () => chmodSync(at, step.mode))
        break
      case "truncate":
        withFile(at, (fd) => ftruncateSync(fd, step.size))
        break
      case "write":
        withFile(at, (fd) => writeSync(fd, step.content, step.offset, "latin1"))
        break
    }
    return 0
  } catch (error) {
    if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code
    throw error
  }
}

function withFile(path: string, use: (fd: number) => void): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW)
  try {
    use(fd)
  } finally {
    closeSync(fd)
  }
}

/** Does the same in a file system. */
export async function doIn(rig: Rig, step: Step): Promise<Answer> {
  const parent = parentOf(rig, step.at)
  if (typeof parent === "string") return parent
  const name = step.at.at(-1) ?? ""
  switch (step.does) {
    case "directory":
      return zero(rig.mkdir(name, parent))
    case "file":
      return zero(rig.mknod(name, S_IFREG | 0o644, parent))
    case "symlink":
      return zero(rig.symlink(name, TARGET, parent))
    case "unlink":
      return rig.unlink(name, parent)
    case "rmdir":
      return rig.rmdir(name, parent)
    case "link":
    case "rename":
      return betweenTwo(rig, step, parent, name)
    case "chmod":
    case "truncate":
    case "write":
      return atFile(rig, step, rig.lookup(name, parent))
  }
}

function betweenTwo(rig: Rig, step: Step & { readonly to: Path }, parent: number, name: string): Answer {
  // In the kernel's order: what is linked is found before where to.
  const node = step.does === "link" ? rig.lookup(name, parent) : rig.root
  if (typeof node === "string") return node
  const target = parentOf(rig, step.to)
  if (typeof target === "string") return target
  const to = step.to.at(-1) ?? ""
  return step.does === "link" ? zero(rig.link(node, to, target)) : rig.rename(name, to, 0, [parent, target])
}

async function atFile(rig: Rig, step: Step, node: Answer): Promise<Answer> {
  if (typeof node === "string") return node
  const handle = rig.open(node, constants.O_WRONLY)
  if (typeof handle === "string") return handle
  try {
    if (step.does === "chmod") return rig.change(node, { mode: step.mode })
    if (step.does === "truncate") return rig.change(node, { size: step.size }, handle)
    return step.does === "write" ? zero(await rig.write(handle, step.offset, step.content)) : 0
  } finally {
    rig.fs.release(handle)
  }
}

function parentOf(rig: Rig, path: Path): Answer {
  let node: Answer = rig.root
  for (const name of path.slice(0, -1)) {
    node = rig.lookup(name, node)
    if (typeof node === "string") return node
  }
  return rig.lookup(".", node)
}

function zero(answer: Answer): Answer {
  return typeof answer === "string" ? answer : 0
}

export function pictureOfHost(root: string, below = ""): Picture {
  return readdirSync(join(root, below))
    .toSorted()
    .flatMap((name) => {
      const path = join(below, name)
      const stats = lstatSync(join(root, path))
      const line = describeFile(path, stats.mode, linksOf(stats), () =>
        contentOnHost(join(root, path), stats),
      )
      return stats.isDirectory() ? [line, ...pictureOfHost(root, path)] : [line]
    })
}

function linksOf(stats: Stats): number {
  return stats.isDirectory() ? 0 : stats.nlink
}

function contentOnHost(path: string, stats: Stats): string {
  return stats.isSymbolicLink() ? readlinkSync(path) : readFileSync(path, "latin1")
}

export async function pictureIn(rig: Rig, node = rig.root, below = ""): Promise<Picture> {
  const lines: string[] = []
  for (const name of rig.names(node)) {
    const path = join(below, name)
    const child = sure(rig.lookup(bytes(name), node))
    const { mode, links } = rig.stat(child)
    const type = mode & S_IFMT
    const content = type === S_IFREG ? await rig.content(child) : type === S_IFLNK ? rig.readLink(child) : ""
    lines.push(describeFile(path, mode, type === S_IFDIR ? 0 : links, () => content))
    if (type === S_IFDIR) lines.push(...(await pictureIn(rig, child, path)))
  }
  return lines
}

function describeFile(path: string, mode: number, links: number, content: () => string): string {
  const inside = (mode & S_IFMT) === S_IFDIR ? "" : JSON.stringify(content())
  return `${path} ${mode.toString(8)} ${links} ${inside}`
}
