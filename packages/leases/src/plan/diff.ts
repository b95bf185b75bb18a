/**
 * What a change does to a file, as a unified diff: pure. Made for changes that take lines away, and linear in the size of the file for them.
 *
 * @module
 */
import { shown } from "../model.ts"

const CONTEXT = 3
const LINE_FEED = 0x0a

interface Step {
  readonly sign: " " | "-" | "+"
  readonly line: string
}

/**
 * Lines of a diff, fit for a terminal. `gone` are ranges of lines, from 1 and in order, that the change is about: of several ways to see the same change, the one that takes
 * these away.
 */
export function* unifiedDiff(
  before: Uint8Array,
  after: Uint8Array,
  path: string,
  gone: Iterable<{ readonly line: number; readonly lastLine: number }> = [],
): Generator<string> {
  const steps = stepsOf(linesOf(before), linesOf(after), goneFinder(gone))
  let isFirst = true
  for (const hunk of hunksOf(steps)) {
    if (isFirst) yield* [`--- ${shown(path)}`, `+++ ${shown(path)} (new)`]
    isFirst = false
    yield hunk.head
    for (const { sign, line } of hunk.steps) yield sign + visible(line)
  }
}

/** Tabs may stay: they move nothing but what follows. */
function visible(line: string): string {
  return Buffer.from(line, "latin1").toString("utf8").split("\t").map(shown).join("\t")
}

interface Lines {
  readonly line: number
  readonly lastLine: number
}

/** Whether a line goes, asked in order. The ranges are in order too. */
function goneFinder(ranges: Iterable<Lines>): (line: number) => boolean {
  const rest = ranges[Symbol.iterator]()
  let next = rest.next()
  return (line) => {
    while (next.done !== true && next.value.lastLine < line) next = rest.next()
    return next.done !== true && next.value.line <= line
  }
}

/** Latin-1 keeps every byte apart while lines are compared. */
function* linesOf(bytes: Uint8Array): Generator<string> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let from = 0
  while (from < text.length) {
    const end = text.indexOf(LINE_FEED, from)
    const to = end === -1 ? text.length : end
    yield text.toString("latin1", from, to)
    from = to + 1
  }
}

function* stepsOf(
  before: Generator<string>,
  after: Generator<string>,
  isGone: (line: number) => boolean,
): Generator<Step> {
  let next = after.next()
  let number = 0
  for (const line of before) {
    number++
    const goes = isGone(number)
    if (!goes && next.done !== true && next.value === line) {
      yield { sign: " ", line }
      next = after.next()
      continue
    }
    yield { sign: "-", line }
    // Not one of those that go, but another one is in its place: it is changed.
    if (!goes && next.done !== true && near(line, next.value)) {
      yield { sign: "+", line: next.value }
      next = after.next()
    }
  }
  for (; next.done !== true; next = after.next()) yield { sign: "+", line: next.value }
}

/** Lists in JSON lose a comma. */
function near(line: string, other: string): boolean {
  return line.replace(/,\s*$/, "") === other.replace(/,\s*$/, "")
}

interface Hunk {
  readonly head: string
  readonly steps: readonly Step[]
}

function* hunksOf(steps: Iterable<Step>): Generator<Hunk> {
  let kept: Step[] = []
  let trailing = 0
  let hasChange = false
  const at = { before: 1, after: 1 }
  let from = { ...at }
  const hunk = (upTo: number): Hunk => {
    const own = kept.slice(0, upTo)
    const old = own.filter(({ sign }) => sign !== "+").length
    const now = own.filter(({ sign }) => sign !== "-").length
    // As diff(1) has it: a range of no lines is named by the line before it.
    const place = (start: number, count: number): string => `${count === 0 ? start - 1 : start},${count}`
    return { head: `@@ -${place(from.before, old)} +${place(from.after, now)} @@`, steps: own }
  }
  for (const step of steps) {
    if (kept.length === 0) from = { ...at }
    kept.push(step)
    if (step.sign !== "+") at.before++
    if (step.sign !== "-") at.after++
    trailing = step.sign === " " ? trailing + 1 : 0
    if (step.sign !== " ") hasChange = true
    if (hasChange && trailing > CONTEXT * 2) {
      yield hunk(kept.length - trailing + CONTEXT)
      kept = kept.slice(-CONTEXT)
      from = { before: at.before - CONTEXT, after: at.after - CONTEXT }
      hasChange = false
      trailing = CONTEXT
    } else if (!hasChange && kept.length > CONTEXT) {
      kept.shift()
      from = { before: from.before + 1, after: from.after + 1 }
    }
  }
  if (hasChange) yield hunk(kept.length - Math.max(0, trailing - CONTEXT))
}
