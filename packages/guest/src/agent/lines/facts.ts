/**
 * What the guest knows of itself, from the `fact` lines of one answer (AGENT.md). Pure. Plain JSON, units in the names.
 *
 * @module
 */
import { isIP } from "node:net"
import { decimal, whole } from "./number.ts"
import { parseV4, parseV6, type SocketAddress } from "./socket-address.ts"

export interface GuestFacts {
  /** Since the guest's kernel started. */
  readonly uptimeMs: number
  /** Processes that ran or wanted to, on average over so many minutes. */
  readonly load: { readonly one: number; readonly five: number; readonly fifteen: number }
  readonly memory: { readonly totalBytes: number; readonly availableBytes: number }
  /** How much work waited for memory; missing where the guest's kernel does not tell (PSI). */
  readonly memoryPressure?: { readonly some: Stall; readonly full: Stall }
  /** The file system of the data disk; missing where the guest has none. */
  readonly dataDisk?: { readonly totalBytes: number; readonly usedBytes: number }
  readonly addresses: readonly GuestAddress[]
  /** TCP sockets that listen, and UDP sockets without a peer, in the guest's own network; not those in containers. */
  readonly listeners: readonly GuestListener[]
  /** Of which kinds ("address", "tcp", …) there were more than the guest lists. */
  readonly truncated: readonly string[]
}

/** Linux, Documentation/accounting/psi.rst: the share of time in which some tasks, or all, waited. */
export interface Stall {
  readonly avg10Percent: number
  readonly avg60Percent: number
  readonly avg300Percent: number
  readonly totalMs: number
}

export interface GuestAddress {
  readonly interface: string
  readonly address: string
  readonly prefixLength: number
  /** As Linux has it: "global", "link", "host", … */
  readonly scope: string
}

export interface GuestListener extends SocketAddress {
  readonly transport: "tcp" | "udp"
}

/** What was understood of an answer. */
export interface FactsRead {
  readonly facts: GuestFacts | undefined
  /** Rows that are not as specified; they are left out. */
  readonly ignored: number
}

const KIB = 1024
const PSI = /^avg10=(\d{1,3}\.\d\d) avg60=(\d{1,3}\.\d\d) avg300=(\d{1,3}\.\d\d) total=(\d{1,15})$/
const INTERFACE = /^[A-Za-z0-9@._-]{1,64}$/
const SCOPE = /^[a-z0-9-]{1,32}$/

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }
/** The facts while they are read, and what will be joined in the end. */
type Draft = Mutable<Partial<Omit<GuestFacts, "addresses" | "listeners" | "truncated">>> & {
  readonly addresses: GuestAddress[]
  readonly listeners: GuestListener[]
  readonly truncated: string[]
  readonly memoryKib: Map<string, number>
  readonly stalls: Map<string, Stall>
}

/** Reads the rows of an answer, each without `fact TOKEN`. No facts without uptime, load and memory: every Linux tells these. */
export function parseFacts(rows: readonly (readonly string[])[]): FactsRead {
  const draft: Draft = {
    addresses: [],
    listeners: [],
    truncated: [],
    memoryKib: new Map(),
    stalls: new Map(),
  }
  let ignored = 0
  for (const [key = "", ...words] of rows) {
    if (READERS.get(key)?.(draft, words) !== true) ignored += 1
  }
  return { facts: finish(draft), ignored }
}

function finish({ memoryKib, stalls, ...draft }: Draft): GuestFacts | undefined {
  const { uptimeMs, load } = draft
  const total = memoryKib.get("MemTotal")
  const available = memoryKib.get("MemAvailable")
  const some = stalls.get("some")
  const full = stalls.get("full")
  if (uptimeMs === undefined || load === undefined || total === undefined || available === undefined)
    return undefined
  return {
    ...draft,
    uptimeMs,
    load,
    memory: { totalBytes: total * KIB, availableBytes: available * KIB },
    ...(some === undefined || full === undefined ? {} : { memoryPressure: { some, full } }),
  }
}

/** Reads the words after the key of a row; returns whether they are as specified. */
type RowReader = (draft: Draft, words: readonly string[]) => boolean

const READERS: ReadonlyMap<string, RowReader> = new Map([
  ["uptime", readUptime],
  ["load", readLoad],
  ["memory", readMemory],
  ["pressure", readPressure],
  ["disk", readDisk],
  ["address", readAddress],
  ["tcp", listenerReader("tcp", parseV4)],
  ["tcp6", listenerReader("tcp", parseV6)],
  ["udp", listenerReader("udp", parseV4)],
  ["udp6", listenerReader("udp", parseV6)],
  ["truncated", readTruncated],
])

function readUptime(draft: Draft, words: readonly string[]): boolean {
  const seconds = decimal(words[0])
  if (words.length !== 1 || seconds === undefined) return false
  draft.uptimeMs = seconds * 1000
  return true
}

function readLoad(draft: Draft, words: readonly string[]): boolean {
  const [one, five, fifteen] = words.map(decimal)
  if (words.length !== 3 || one === undefined || five === undefined || fifteen === undefined) return false
  draft.load = { one, five, fifteen }
  return true
}

function readMemory(draft: Draft, words: readonly string[]): boolean {
  const [name, amount] = words
  const kib = whole(amount)
  if (words.length !== 2 || kib === undefined || (name !== "MemTotal" && name !== "MemAvailable"))
    return false
  draft.memoryKib.set(name, kib)
  return true
}

function readPressure(draft: Draft, [resource, who, ...rest]: readonly string[]): boolean {
  const numbers = PSI.exec(rest.join(" "))?.slice(1).map(Number)
  if (resource !== "memory" || (who !== "some" && who !== "full") || numbers === undefined) return false
  const [avg10Percent = 0, avg60Percent = 0, avg300Percent = 0, microseconds = 0] = numbers
  draft.stalls.set(who, { avg10Percent, avg60Percent, avg300Percent, totalMs: microseconds / 1000 })
  return true
}

function readDisk(draft: Draft, words: readonly string[]): boolean {
  const [total, used] = words.map(whole)
  if (words.length !== 2 || total === undefined || used === undefined) return false
  draft.dataDisk = { totalBytes: total * KIB, usedBytes: used * KIB }
  return true
}

function readAddress(draft: Draft, words: readonly string[]): boolean {
  const [name, cidr = "", scope] = words
  const [address = "", prefix, ...more] = cidr.split("/")
  const prefixLength = whole(prefix)
  if (words.length !== 3 || name === undefined || scope === undefined) return false
  if (!INTERFACE.test(name) || !SCOPE.test(scope) || more.length > 0) return false
  const version = isIP(address)
  if (version === 0 || prefixLength === undefined || prefixLength > (version === 4 ? 32 : 128)) return false
  draft.addresses.push({ interface: name, address, prefixLength, scope })
  return true
}

function listenerReader(
  transport: GuestListener["transport"],
  parse: (row: string) => SocketAddress | undefined,
): RowReader {
  return (draft, words) => {
    const at = words.length === 1 ? parse(words[0] ?? "") : undefined
    if (at === undefined) return false
    draft.listeners.push({ transport, ...at })
    return true
  }
}

function readTruncated(draft: Draft, words: readonly string[]): boolean {
  const [kind] = words
  if (words.length !== 1 || kind === undefined || !SCOPE.test(kind)) return false
  draft.truncated.push(kind)
  return true
}
