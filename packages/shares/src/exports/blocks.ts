/**
 * Marked blocks in a file that is others' too: `# BEGIN skep NAME` to `# END skep NAME`. Nothing outside a block is ever changed, and taking a block out
 * again leaves the file as it was, to the byte.
 *
 * A file that ends without a newline gets the newline as the first byte of the block, and the block ends without one too: so it is known at the end which
 * newline was ours.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { type Line, linesOf } from "./lines.ts"

/** One of ours, in lines of the file. */
export interface Block {
  readonly machine: string
  /** Offsets into the file, all of it: markers, ends of lines, a newline of ours in front. */
  readonly start: number
  readonly end: number
  /** Number of the line with the first marker. */
  readonly line: number
  /** Between the markers. */
  readonly body: readonly Line[]
}

const MARKER = /^# (BEGIN|END) skep ([a-z0-9][a-z0-9-]{0,62})$/
/** Whoever edits by hand may leave blanks there. */
const LIKE_A_MARKER = /^\s*#\s*(?:BEGIN|END)\s+skep\b/i

/** Throws "corrupt-file" with the line where markers do not match, or something else is in a block. */
export function blocksIn(file: string, path: string): readonly Block[] {
  const blocks: Block[] = []
  let open: { machine: string; start: number; line: number; body: Line[] } | undefined
  let at = 0
  for (const line of linesOf(file)) {
    const start = at
    at += line.text.length + line.end.length
    const marker = MARKER.exec(line.text)
    if (marker === null) {
      if (LIKE_A_MARKER.test(line.text))
        throw unbalanced(path, line, "looks like a marker of Skep but is none")
      open?.body.push(line)
      continue
    }
    const [, kind, machine = ""] = marker
    if (line.continued) throw unbalanced(path, line, "goes on a line that ends with a backslash")
    if (kind === "BEGIN") {
      if (open !== undefined)
        throw unbalanced(path, line, `begins a block inside the one of line ${open.line}`)
      open = { machine, start: start - newlineOfOurs(file, start, machine), line: line.number, body: [] }
    } else {
      if (open === undefined) throw unbalanced(path, line, "ends a block that does not begin")
      if (open.machine !== machine)
        throw unbalanced(path, line, `does not end the block of line ${open.line}`)
      for (const inner of open.body) checkOurs(inner, path)
      blocks.push({ ...open, end: at })
      open = undefined
    }
  }
  if (open === undefined) return blocks
  throw new SidecarError(
    "corrupt-file",
    `Cannot change "${path}": the block of Skep that begins in line ${open.line} has no end`,
    { next: `Add the line "# END skep ${open.machine}" where it ends, or remove the block` },
  )
}

/** 1 where the newline in front belongs to the block: its own last line has none, and ends the file. */
function newlineOfOurs(file: string, start: number, machine: string): number {
  return start > 0 &&
    file.endsWith(`\n# END skep ${machine}`) &&
    !file.slice(start + 1).includes("\n# BEGIN skep ")
    ? 1
    : 0
}

/** What we write is an entry with a quoted path; whatever else is there, somebody else put there. */
function checkOurs(line: Line, path: string): void {
  if (line.text === "" || (/^"\/.*" -mapall=/.test(line.text) && !line.continues)) return
  throw new SidecarError(
    "corrupt-file",
    `Cannot change "${path}": line ${line.number} is inside a block of Skep, and is not Skep's`,
    { next: "Move it out of the block: between the markers everything is replaced" },
  )
}

function unbalanced(path: string, line: Line, reason: string): SidecarError {
  return new SidecarError("corrupt-file", `Cannot change "${path}": line ${line.number} ${reason}`, {
    detail: [line.text],
    next: "Each block of Skep begins with # BEGIN skep NAME and ends with # END skep NAME: repair or remove it by hand",
  })
}

/**
 * The file with these lines as the block of the machine; without it where there are none. A block that is there is replaced in its place. Throws
 * "corrupt-file" as `blocksIn`, and where the end of the file would swallow a block.
 */
export function withBlock(file: string, path: string, machine: string, body: readonly string[]): string {
  const [first, ...more] = blocksIn(file, path).filter((block) => block.machine === machine)
  let result = file
  // From behind, so that the offsets of those in front stay right.
  for (const block of more.toReversed()) result = result.slice(0, block.start) + result.slice(block.end)
  if (body.length === 0)
    return first === undefined ? result : result.slice(0, first.start) + result.slice(first.end)
  const text = [`# BEGIN skep ${machine}`, ...body, `# END skep ${machine}`].join("\n")
  if (first !== undefined) {
    const old = result.slice(first.start, first.end)
    const before = old.startsWith("\n") ? "\n" : ""
    const after = /\r?\n$/.exec(old)?.[0] ?? ""
    return result.slice(0, first.start) + before + text + after + result.slice(first.end)
  }
  const last = linesOf(result).at(-1)
  if (last?.continues === true) {
    throw new SidecarError(
      "corrupt-file",
      `Cannot add to "${path}": its last line (${last.number}) ends with a backslash, so that it would go on in what is added`,
      { next: "Remove that backslash, or end the entry" },
    )
  }
  return last === undefined || last.end !== "" ? `${result}${text}\n` : `${result}\n${text}`
}
