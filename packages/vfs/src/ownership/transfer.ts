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

/** `fs` is what lies below the layer, so that it shows what is there and not what is made of it. */
export function* exportOwners(fs: FileSystem, records: OwnerRecords): Generator<string> {
  const attributes = newAttributes()
  if (fs.getAttributes(fs.root, -1, ROOT, attributes) < 0) return
  yield* linesOf({ fs, records }, fs.root, Buffer.alloc(0), attributes)
}

interface Source {
  readonly fs: FileSystem
  readonly records: OwnerRecords
}

function* linesOf(source: Source, node: NodeId, path: Buffer, attributes: Attributes): Generator<string> {
  const record = source.records.of(node, attributes)
  if (!isEmpty(record)) yield lineOf(path, record, attributes.mode & PERMISSIONS)
  if ((attributes.mode & sys.S_IFMT) !== sys.S_IFDIR) return
  for (const name of namesIn(source.fs, node)) {
    const below = newAttributes()
    const child = source.fs.lookup(node, name, ROOT, below)
    if (child < 0) continue
    try {
      const at = path.length === 0 ? name : Buffer.concat([path, Buffer.from(SLASH), name])
      yield* linesOf(source, child, at, below)
    } finally {
      source.fs.forget(child, 1)
    }
  }
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
  if (wanted === undefined) return `Cannot read an owner from ${JSON.stringify(line)}`
  const node = walk(fs, wanted.path)
  if (node < 0) return `Cannot find ${JSON.stringify(wanted.path.toString())}: ${errnoName(node)}`
  const result = fs.setAttributes(node, -1, wanted.changes, ROOT, newAttributes())
  fs.forget(node, 1)
  return result < 0
    ? `Cannot change the owner of ${JSON.stringify(wanted.path.toString())}: ${errnoName(result)}`
    : undefined
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
