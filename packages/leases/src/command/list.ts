/**
 * `ls`: every lease of every server, whose it is, and how many addresses are left.
 *
 * @module
 */
import type { LeaseKind } from "@skep/contract"
import type { Survey, Surveyed } from "../janitor/survey.ts"
import { unreadTools } from "../janitor/survey.ts"
import { macOf, shown } from "../model.ts"
import { entryOf, type Judged } from "../plan/judge.ts"
import { serverNamed } from "../servers/servers.ts"
import type { Terminal } from "./terminal.ts"
import { poolSentence, whenOf } from "./words.ts"

const HEAD = ["ADDRESS", "MAC", "NAME", "MACHINE", "STATE", "EXPIRES"]
const STATE = 4
type Colour = "green" | "yellow" | "gray" | "cyan" | "red"
const BY_KIND: Readonly<Record<LeaseKind, Colour>> = {
  live: "green",
  stale: "red",
  expired: "gray",
  duplicate: "yellow",
  reserved: "cyan",
  declined: "yellow",
  free: "gray",
}
const COLOURS: ReadonlyMap<string, Colour> = new Map(Object.entries(BY_KIND))
/** A file of many networks: the first of them; --json has them all. */
const POOLS_MAX = 20

export function list(found: Survey, kinds: readonly LeaseKind[], now: number, terminal: Terminal): void {
  const wanted = ({ kind }: Judged): boolean => kinds.length === 0 || kinds.includes(kind)
  if (terminal.json) {
    terminal.lines(jsonOf(found, wanted))
    return
  }
  for (const { document, judged, format } of found.files) {
    if (found.files.length > 1) terminal.note(`${shown(document.path)} (${format.title})`)
    if (judged.some(wanted)) {
      terminal.table(
        HEAD,
        () => rowsOf(judged.filter(wanted), now),
        (row) => COLOURS.get(row[STATE] ?? ""),
      )
    }
  }
  remarks(found, now, terminal)
}

function* rowsOf(judged: readonly Judged[], now: number): Generator<readonly string[]> {
  for (const { lease, kind, owner } of judged) {
    yield [
      lease.address,
      macOf(lease) ?? lease.clientId ?? "-",
      lease.name === undefined || lease.name === "" ? "-" : shown(lease.name),
      owner === undefined ? "-" : `${owner.tool}:${shown(owner.machine)}`,
      kind,
      lease.state === "reserved" ? "-" : whenOf(lease.expires, now),
    ]
  }
}

/** What a person should know beside the table. */
export function remarks(found: Survey, now: number, terminal: Terminal): void {
  if (found.files.length === 0 && found.refused.length === 0) {
    terminal.note(
      "No DHCP server of this host has a lease file: nothing was ever given away, or by servers that are not known here",
    )
  }
  for (const { document } of found.files) problemsOf(document, terminal)
  for (const pool of found.pools.slice(0, POOLS_MAX)) terminal.note(poolSentence(pool, now))
  if (found.pools.length > POOLS_MAX)
    terminal.note(`… and ${found.pools.length - POOLS_MAX} more networks, which --json shows`)
  for (const error of found.refused) terminal.note(`${error.message}. ${error.next ?? ""}`.trimEnd())
  const unread = unreadTools(found.known)
  if (unread.length > 0)
    terminal.note(
      `What machines ${unread.join(" and ")} has is for root to see: with sudo more leases can be told to be stale`,
    )
}

function problemsOf({ path, problems }: Surveyed["document"], terminal: Terminal): void {
  const [first, ...more] = problems
  if (first === undefined) return
  const others = more.length === 0 ? "" : ` (and ${more.length} more)`
  terminal.note(
    `${shown(path)}, line ${first.line}: ${first.sentence}${others}. Such a file is never changed`,
  )
}

/** In pieces, so that a great many leases are never one text. */
function* jsonOf(
  { files, pools, known, refused }: Survey,
  wanted: (judged: Judged) => boolean,
): Generator<string> {
  yield "{"
  const all = files.map(({ document, format }) => ({
    path: document.path,
    format: format.name,
    server: serverNamed(format.name)?.title,
    leases: document.leases.length,
    problems: document.problems,
  }))
  yield `"files": ${JSON.stringify(all)},`
  yield `"pools": ${JSON.stringify(pools)},`
  yield `"unread": ${JSON.stringify(known.unread)},`
  yield `"refused": ${JSON.stringify(refused)},`
  yield '"leases": ['
  let before: string | undefined
  for (const { judged } of files) {
    for (const each of judged) {
      if (!wanted(each)) continue
      if (before !== undefined) yield `${before},`
      before = JSON.stringify(entryOf(each))
    }
  }
  if (before !== undefined) yield before
  yield "]}"
}
