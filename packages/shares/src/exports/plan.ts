/**
 * From what is wanted and what is there to the new content of the file, and what that changes: pure.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { blocksIn, withBlock } from "./blocks.ts"
import { linesOf } from "./lines.ts"
import * as linux from "./linux.ts"
import * as macos from "./macos.ts"
import { type DeviceOf, type Existing, type Overlap, overlapsWith } from "./overlap.ts"
import type { ExportedDirectory, ExportPlatform, ExportRequest } from "./request.ts"

/** A file of exports, as it is: latin1, one character for each byte. */
export interface ExportsFile {
  readonly path: string
  readonly content: string
}

export interface PlanInput {
  readonly platform: ExportPlatform
  /** The file that is changed; "" where there is none. */
  readonly target: ExportsFile
  /** The other files that the kernel's server reads. */
  readonly others: readonly ExportsFile[]
  readonly deviceOf: DeviceOf
}

export interface Plan {
  readonly path: string
  /** "" means that the file goes, where it is all ours. */
  readonly content: string
  readonly changed: boolean
  /** Lines that go (`-`) and come (`+`), with their numbers, for people. */
  readonly diff: readonly string[]
}

/** Where the exports of a machine are. */
export function targetPath(platform: ExportPlatform, etc: string, machine: string): string {
  return platform === "macos" ? `${etc}/exports` : `${etc}/exports.d/skep-${machine}.exports`
}

/** Throws "exists" with every overlap in a sentence, "corrupt-file" with the line, "unsupported" for what the system cannot express. */
export function planExports(request: ExportRequest, input: PlanInput): Plan {
  const found = overlapsWith(request, existingIn(request.machine, input), input)
  if (found.length > 0) throw inTheWay(found)
  const { platform, target } = input
  const body =
    platform === "macos"
      ? macosLines(request, input.deviceOf)
      : request.directories
          .toSorted((a, b) => compare(a.path, b.path))
          .map(({ path, readOnly }) => linux.emitLine({ ...request, path, readOnly }))
  return planOf(
    target,
    platform === "macos" ? withBlock(target.content, target.path, request.machine, body) : ownFile(body),
  )
}

/** Takes back what is exported for a machine; does nothing where nothing is. */
export function planRemoval(machine: string, platform: ExportPlatform, target: ExportsFile): Plan {
  return planOf(target, platform === "macos" ? withBlock(target.content, target.path, machine, []) : "")
}

function planOf({ path, content: before }: ExportsFile, content: string): Plan {
  return { path, content, changed: content !== before, diff: diffOf(before, content) }
}

function ownFile(body: readonly string[]): string {
  if (body.length === 0) return ""
  return ["# Made by skep, which replaces and removes it.", ...body, ""].join("\n")
}

/** All but what belongs to the machine itself. */
function existingIn(machine: string, { platform, target, others }: PlanInput): readonly Existing[] {
  const read = platform === "macos" ? macos.entriesIn : linux.entriesIn
  const own =
    platform === "macos"
      ? blocksIn(target.content, target.path).filter((block) => block.machine === machine)
      : []
  const isOwn = (line: number): boolean =>
    own.some((block) => line > block.line && line <= block.line + block.body.length)
  const inTarget =
    platform === "macos"
      ? [{ file: target.path, entries: read(target.content).filter(({ line }) => !isOwn(line)) }]
      : []
  return [...inTarget, ...others.map(({ path, content }) => ({ file: path, entries: read(content) }))]
}

function inTheWay(found: readonly Overlap[]): SidecarError {
  const [first] = found
  return new SidecarError("exists", `Cannot export ${first?.sentence ?? ""}`, {
    detail: found.slice(1).map(({ sentence }) => sentence),
    next: `Remove line ${first?.line} of ${first?.file}, or share another directory`,
  })
}

/** One line for each disk: that is all that nfsd takes. What lies inside another one with the same options needs no word of its own. */
function macosLines(request: ExportRequest, deviceOf: DeviceOf): readonly string[] {
  const groups = new Map<string, ExportedDirectory[]>()
  for (const directory of request.directories.toSorted((a, b) => compare(a.path, b.path))) {
    const device = deviceOf(directory.path)
    // Where the disk cannot be told, each directory stands for itself.
    const key = device === undefined ? directory.path : `device ${device}`
    const group = groups.get(key) ?? []
    if (!group.some(({ path }) => path === directory.path)) group.push(directory)
    groups.set(key, group)
  }
  return [...groups.values()].map((group) => {
    const [first] = group
    const readOnly = first?.readOnly === true
    const other = group.find((directory) => directory.readOnly !== readOnly)
    if (first !== undefined && other !== undefined) throw mixed(first, other)
    return macos.emitLine({ ...request, readOnly, paths: group.map(({ path }) => path) })
  })
}

function mixed(one: ExportedDirectory, other: ExportedDirectory): SidecarError {
  const [readable, writable] = one.readOnly ? [one, other] : [other, one]
  return new SidecarError(
    "unsupported",
    `Cannot export "${readable.path}" read-only and "${writable.path}" writable: both are on one disk, for which nfsd takes one line`,
    { next: "Share both the same way, or by another protocol" },
  )
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** What is common at both ends is left out: a plan changes one place. */
export function diffOf(before: string, after: string): readonly string[] {
  const [old, now] = [shown(before), shown(after)]
  let head = 0
  while (head < old.length && head < now.length && old[head] === now[head]) head++
  let tail = 0
  while (
    tail < old.length - head &&
    tail < now.length - head &&
    old[old.length - 1 - tail] === now[now.length - 1 - tail]
  )
    tail++
  const marked = (lines: readonly string[], sign: string): readonly string[] =>
    lines.slice(head, lines.length - tail).map((line, index) => `${sign}${head + index + 1}: ${line}`)
  return [...marked(old, "-"), ...marked(now, "+")]
}

function shown(content: string): readonly string[] {
  return linesOf(content).map(({ text }) => Buffer.from(text, "latin1").toString("utf8"))
}
