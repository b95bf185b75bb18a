/**
 * `show` and `explain`: one address, as the files have it and in words.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { Survey } from "../janitor/survey.ts"
import { type Document, type Lease, macOf, shown } from "../model.ts"
import { numberOf } from "../plan/address-number.ts"
import { chosenBy } from "../plan/choose.ts"
import { entryOf, type Judged, reasonOf } from "../plan/judge.ts"
import { serverNamed } from "../servers/servers.ts"
import type { Terminal } from "./terminal.ts"
import { poolSentence, whenOf } from "./words.ts"

interface Found {
  readonly judged: Judged
  readonly document: Document
  readonly format: string
}

/** What the files say, with the lines themselves. */
export function show(found: Survey, wanted: string, now: number, terminal: Terminal): void {
  const entries = leasesOf(found, wanted)
  if (terminal.json) {
    terminal.value(entries.map(({ judged }) => entryOf(judged)))
    return
  }
  for (const [index, { judged, document, format }] of entries.entries()) {
    if (index > 0) terminal.line("")
    const { lease, kind, owner } = judged
    const facts: readonly (readonly [string, string | undefined])[] = [
      ["address", lease.address],
      ["state", kind],
      ["hardware", lease.hardware],
      ["client id", lease.clientId],
      ["name", lease.name === undefined ? undefined : shown(lease.name)],
      [
        "machine",
        owner === undefined ? lease.machine : `${owner.tool}:${shown(owner.machine)} (${owner.path})`,
      ],
      ["expires", expiryText(lease, now)],
      ["server", serverNamed(format)?.title ?? format],
      ["file", `${shown(document.path)}, lines ${lease.source.line} to ${lease.source.lastLine}`],
    ]
    for (const [name, value] of facts) if (value !== undefined) terminal.line(`${name.padEnd(10)} ${value}`)
    for (const line of linesIn(document, lease)) terminal.line(`  | ${line}`)
  }
}

/** Whose it is, why it is what it is, and what would become of it. */
export function explain(found: Survey, wanted: string, now: number, terminal: Terminal): void {
  const entries = leasesOf(found, wanted)
  if (terminal.json) {
    terminal.value(entries.map((entry) => ({ ...entryOf(entry.judged), fate: fateOf(entry.judged, now) })))
    return
  }
  for (const { judged, document, format } of entries) {
    const { lease, kind, owner } = judged
    const who = macOf(lease) ?? lease.clientId
    const name =
      lease.name === undefined || lease.name === "" ? "" : `, which calls itself "${shown(lease.name)}"`
    terminal.line(terminal.style("bold", `${lease.address} is ${kind}: ${reasonOf(judged)}.`))
    terminal.line(
      `  ${serverNamed(format)?.title ?? format} gave it to ${who === undefined ? "a client" : `the client ${who}`}${name} (${shown(document.path)}, line ${lease.source.line}).`,
    )
    if (owner !== undefined)
      terminal.line(`  The machine is known by ${byWord(owner.by)}, from ${shown(owner.path)}.`)
    if (lease.state !== "reserved") terminal.line(`  Its time: ${expiryText(lease, now)}.`)
    terminal.line(`  ${fateOf(judged, now)}.`)
  }
  for (const pool of found.pools)
    if (isIn(wanted, pool.first, pool.last)) terminal.line(`  ${poolSentence(pool, now)}.`)
}

function fateOf(judged: Judged, now: number): string {
  const only = [judged]
  if (chosenBy(only, {}, now).length > 0) return "prune takes it away"
  if (chosenBy(only, { stale: true }, now).length > 0)
    return "prune takes it away with --all-stale, or where it is named"
  return "prune leaves it alone"
}

function expiryText({ expires }: Lease, now: number): string {
  if (expires === undefined) return "the file does not say until when"
  if (!Number.isFinite(expires)) return "it never ends"
  return `${expires > now ? "until" : "was until"} ${new Date(expires).toISOString()}, ${whenOf(expires, now)}`
}

function byWord(by: string): string {
  const words: Readonly<Record<string, string>> = {
    server: "the server's own word",
    mac: "its Ethernet address",
    name: "its name alone, which anybody may use",
    address: "where it was last seen",
  }
  return words[by] ?? by
}

function leasesOf({ files }: Survey, wanted: string): readonly Found[] {
  const entries = files.flatMap(({ document, format, judged }) =>
    judged
      .filter(({ lease }) => lease.address === wanted)
      .map((each) => ({ judged: each, document, format: format.name })),
  )
  if (entries.length > 0) return entries
  const hint =
    numberOf(wanted) === undefined && !wanted.includes(":")
      ? "Name an address, such as 192.168.64.5"
      : "See all with: ls"
  throw new SidecarError(
    "not-found",
    `Cannot find a lease of "${shown(wanted)}": no server of this host has given it`,
    { next: hint },
  )
}

/** The lines of the entry. Tabs may stay. */
function linesIn({ bytes }: Document, { source }: Lease): readonly string[] {
  const text = Buffer.from(bytes.subarray(source.start, source.end)).toString("utf8")
  return text
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => line.split("\t").map(shown).join("\t"))
}

function isIn(address: string, first: string, last: string): boolean {
  const [place, from, to] = [numberOf(address), numberOf(first), numberOf(last)]
  return place !== undefined && from !== undefined && to !== undefined && place >= from && place <= to
}
