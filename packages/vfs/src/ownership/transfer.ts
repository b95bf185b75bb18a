/**
 * Records of owners as JSON lines, so that they can move with a copy of a tree to where extended attributes do not go:
 *
 * ```
 * {"path":"data","uid":999,"gid":999,"mode":"0700"}
 * {"path64":"/w==","uid":0,"gid":0}
 * ```
 *
 * Paths are below the root, whose own is empty; those that are not UTF-8 are in Base64. Owner and mode are there where they were recorded.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { errnoName } from "@skep/loop/sys"
import {
  type Attributes,
  type Caller,
  type Changes,
  type FileSystem,
  type NodeId,
  newAttributes,
} from "../filesystem.ts"
import { PERMISSIONS } from "../memory/linux.ts"
import { isDot, isDotDot } from "../memory/name.ts"
import { isEmpty, type OwnerRecord } from "./record.ts"
import type { OwnerRecords } from "./records.ts"

export interface ImportedOwners {
  readonly applied: number
  /** A sentence for each line that was left out. */
  readonly refused: readonly string[]
}

const ROOT: Caller = { uid: 0, gid: 0, pid: 0 }
const SLASH = "/"
const OCTAL = 8
const ID_MAX = 2 ** 32 - 1
/** What a sentence shows of a line or a path. */
const BRIEF = 200

/** Deeper than any path that a program can name in one go, so that no tree is too deep for it. */
const PATH_MAX = 4096

/**
 * A line for each file with a record, undefined for each without: whoever has other things to do may pause at every file.
 * `fs` is what lies below the layer, so that it shows what is there and not what is made of it.
 */
export function* exportOwnersInSteps(fs: FileSystem, records: OwnerRecords): Generator<string | undefined> {
  const attributes = newAttributes()
  if (fs.getAttributes(fs.root, -1, ROOT, attributes) < 0) return
  yield recorded(records, fs.root, Buffer.alloc(0), attributes)
  const walk = [directoryOf(fs, fs.root, Buffer.alloc(0))]
  try {
    for (let at = walk.at(-1); at !== undefined; at = walk.at(-1)) {
      const name = at.names.pop()
      if (name === undefined) {
        walk.pop()
        leave(fs, at.node)
        continue
      }
      const path = at.path.length === 0 ? name : Buffer.concat([at.path, Buffer.from(SLASH), name])
      const child = path.length > PATH_MAX ? -1 : fs.lookup(at.node, name, ROOT, attributes)
      if (child < 0) continue
      const line = recorded(records, child, path, attributes)
      if ((attributes.mode & sys.S_IFMT) === sys.S_IFDIR) walk.push(directoryOf(fs, child, path))
      else fs.forget(child, 1)
      yield line
    }
  } finally {
    for (const { node } of walk) leave(fs, node)
  }
}

/** A directory on the way, with a reference, and those of its names that were not looked at yet. */
interface Directory {
  readonly node: NodeId
  readonly path: Buffer
  readonly names: Buffer[]
}

function directoryOf(fs: FileSystem, node: NodeId, path: Buffer): Directory {
  return { node, path, names: namesIn(fs, node).toReversed() }
}

/** The root has no reference. */
function leave(fs: FileSystem, node: NodeId): void {
  if (node !== fs.root) fs.forget(node, 1)
}

function recorded(
  records: OwnerRecords,
  node: NodeId,
  path: Buffer,
  attributes: Readonly<Attributes>,
): string | undefined {
  const record = records.of(node, attributes)
  return isEmpty(record) ? undefined : lineOf(path, record, attributes.mode & PERMISSIONS)
}

function namesIn(fs: FileSystem, node: NodeId): Buffer[] {
  const handle = fs.openDirectory(node, ROOT)
  if (handle < 0) return []
  const names: Buffer[] = []
  fs.readDirectory(handle, 0n, ({ name }) => {
    if (!isDot(name) && !isDotDot(name)) names.push(Buffer.from(name))
    return true
  })
  fs.releaseDirectory(handle)
  return names
}

function lineOf(path: Buffer, { owner, mode }: OwnerRecord, host: number): string {
  const text = path.toString("utf8")
  const where = Buffer.from(text, "utf8").equals(path) ? { path: text } : { path64: path.toString("base64") }
  const holds = mode !== undefined && mode.real === host
  const permissions = !holds ? {} : { mode: mode.asked.toString(OCTAL).padStart(4, "0") }
  return JSON.stringify({ ...where, ...owner, ...permissions })
}

/** `fs` is the layer: what is imported is set as a machine's root would. */
export function importOwners(fs: FileSystem, lines: Iterable<string>): ImportedOwners {
  let applied = 0
  const refused: string[] = []
  for (const line of lines) {
    if (line.trim() === "") continue
    const sentence = importLine(fs, line)
    if (sentence === undefined) applied++
    else refused.push(sentence)
  }
  return { applied, refused }
}

/** What was wrong with it, in a sentence. */
function importLine(fs: FileSystem, line: string): string | undefined {
  const wanted = parse(line)
  if (wanted === undefined) return `Cannot read an owner from ${brief(line)}`
  const node = walk(fs, wanted.path)
  if (node < 0) return `Cannot find ${brief(wanted.path.toString())}: ${errnoName(node)}`
  const result = fs.setAttributes(node, -1, wanted.changes, ROOT, newAttributes())
  fs.forget(node, 1)
  return result < 0
    ? `Cannot change the owner of ${brief(wanted.path.toString())}: ${errnoName(result)}`
    : undefined
}

function brief(text: string): string {
  return JSON.stringify(text.length > BRIEF ? `${text.slice(0, BRIEF)}…` : text)
}

/** The node of a path, with one reference; no link is followed. */
function walk(fs: FileSystem, path: Buffer): number {
  const into = newAttributes()
  let node = fs.lookup(fs.root, Buffer.from("."), ROOT, into)
  for (const name of path.toString("latin1").split(SLASH)) {
    if (name === "" || node < 0) continue
    const next = fs.lookup(node, Buffer.from(name, "latin1"), ROOT, into)
    fs.forget(node, 1)
    node = next
  }
  return node
}

function parse(line: string): { readonly path: Buffer; readonly changes: Changes } | undefined {
  const value = fieldsOf(line)
  if (value === undefined) return undefined
  const path = pathOf(value)
  const { uid, gid, mode } = value
  const owner =
    uid === undefined && gid === undefined ? {} : isId(uid) && isId(gid) ? { uid, gid } : undefined
  const permissions = mode === undefined ? {} : modeOf(mode)
  if (path === undefined || owner === undefined || permissions === undefined) return undefined
  return { path, changes: { ...owner, ...permissions } }
}

interface Fields {
  readonly path?: unknown
  readonly path64?: unknown
  readonly uid?: unknown
  readonly gid?: unknown
  readonly mode?: unknown
}

function fieldsOf(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === "object" && value !== null ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** A path that leads upwards is none. */
function pathOf({ path, path64 }: Fields): Buffer | undefined {
  const bytes =
    typeof path === "string"
      ? Buffer.from(path, "utf8")
      : typeof path64 === "string"
        ? Buffer.from(path64, "base64")
        : undefined
  const names = bytes?.toString("latin1").split(SLASH) ?? []
  return names.includes("..") ? undefined : bytes
}

function isId(id: unknown): id is number {
  return typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= ID_MAX
}

function modeOf(mode: unknown): { readonly mode: number } | undefined {
  if (typeof mode !== "string" || !/^[0-7]{1,4}$/.test(mode)) return undefined
  return { mode: Number.parseInt(mode, OCTAL) & PERMISSIONS }
}
