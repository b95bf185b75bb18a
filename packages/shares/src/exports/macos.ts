/**
 * exports(5) of macOS: `path … -options client …`, one line for a file system and its clients. Written from Apple's manual page, mountd's source and the
 * files of other programs; never run on macOS.
 *
 * @module
 */
import { type Client, parseClient } from "./clients.ts"
import { type Entry, OwnerReader } from "./entry.ts"
import { fromFile, linesOf, logicalLines, toFile } from "./lines.ts"

export interface MacosLine {
  /** All on one file system. */
  readonly paths: readonly string[]
  readonly readOnly: boolean
  /** Everybody there is this user here. */
  readonly uid: number
  readonly gid: number
  /** An address, or a network as `ADDRESS/BITS`. */
  readonly client: string
}

/** `"/a b" "/a b/c" -mapall=501:20 -alldirs -network 192.168.64.0 -mask 255.255.255.0`, in the characters of the file. */
export function emitLine({ paths, readOnly, uid, gid, client }: MacosLine): string {
  const words = paths.map((path) => quote(toFile(path)))
  // -mapall first: it is by this that a line of ours is known.
  words.push(`-mapall=${uid}:${gid}`, "-alldirs")
  if (readOnly) words.push("-ro")
  const [address = "", bits] = client.split("/")
  if (bits === undefined) words.push(address)
  else if (address.includes(":")) words.push(`-network=${client}`)
  else words.push("-network", address, "-mask", maskOf(Number(bits)))
  return words.join(" ")
}

/** In quotes a backslash stands for itself only before what it need not escape. */
function quote(path: string): string {
  return `"${path.replace(/["\\]/g, "\\$&")}"`
}

function maskOf(bits: number): string {
  const mask = bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0
  return [24, 16, 8, 0].map((shift) => (mask >>> shift) & 0xff).join(".")
}

/** Every entry of the file that can be understood; nothing is refused: what is there, others answer for. */
export function entriesIn(file: string): readonly Entry[] {
  const owners = ownersOf(file)
  return logicalLines(file).flatMap(({ number, text }) => {
    const words = wordsOf(text)
    const paths: string[] = []
    while (words[0]?.startsWith("/") === true) paths.push(fromFile(words.shift() ?? ""))
    if (paths.length === 0) return []
    const rest = readRest(words)
    return [{ line: number, paths, ...rest, owner: owners.get(number) ?? "somebody" }]
  })
}

export function ownersOf(file: string): ReadonlyMap<number, string> {
  const reader = new OwnerReader()
  return new Map(linesOf(file).map((line) => [line.number, reader.read(line.text)]))
}

interface Rest {
  readonly clients: readonly Client[]
  readonly readOnly: boolean
}

function readRest(words: readonly string[]): Rest {
  const hosts: string[] = []
  let readOnly = false
  let network: string | undefined
  let mask: string | undefined
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? ""
    if (!word.startsWith("-")) {
      hosts.push(word)
      continue
    }
    for (const option of word.slice(1).split(",")) {
      const [name = "", given] = option.split("=", 2)
      if (name === "ro" || name === "o") readOnly = true
      if (name !== "network" && name !== "mask") continue
      const value = given ?? words[++i]
      if (name === "network") network = value
      else mask = value
    }
  }
  const clients = hosts.map((host) => parseClient(host))
  if (network !== undefined) clients.push(parseClient(network, mask))
  return { clients: clients.length === 0 ? ["everyone"] : clients, readOnly }
}

const DOUBLE = /"((?:\\.|[^"\\])*)(?:"|$)/
const SINGLE = /'((?:\\.|[^'\\])*)(?:'|$)/
const WORD = new RegExp(`(?:\\\\.|${DOUBLE.source}|${SINGLE.source}|[^\\s"'\\\\]|\\\\$)+`, "gs")
const PART = new RegExp(`\\\\(.)|${DOUBLE.source}|${SINGLE.source}`, "gs")

/** Words between blanks; in quotes of both kinds and behind a backslash a blank is a part of one. A `#` begins a comment. */
function wordsOf(text: string): string[] {
  const words = [...text.matchAll(WORD)].map(([word]) => word)
  const comment = words.findIndex((word) => word.startsWith("#"))
  return words.slice(0, comment < 0 ? words.length : comment).map(unquoted)
}

function unquoted(word: string): string {
  return word.replace(PART, (_, escaped?: string, double?: string, single?: string) => {
    return escaped ?? (double ?? single ?? "").replace(/\\(.)/gs, "$1")
  })
}
