/**
 * The shape of a DNS message: checked once, in bounds, before anything else looks at it.
 *
 * RFC 1035 section 4.1, RFC 6891 (OPT).
 *
 * ```
 *  0          2       4         6         8         10        12
 *  │ id       │ flags │ qdcount │ ancount │ nscount │ arcount │ question │ answers │ authorities │ additional │
 *  question:  │ name │ type 2 │ class 2 │
 *  record:    │ name │ type 2 │ class 2 │ ttl 4 │ length 2 │ data │
 * ```
 *
 * @module
 */
import { u8, u16, u32 } from "@skep/wire/bytes"
import { parseName } from "./name.ts"
import { RCODE, rcode, TYPE } from "./number.ts"

export const HEADER = 12
/** Bytes of an OPT record without options. */
export const OPT_SIZE = 11
/** A message over TCP has its length in sixteen bits. */
export const MESSAGE_MAX = 0xffff

/** Why bytes are no message. Each is a counter. */
export type Malformed =
  | "truncated"
  | "bad-label"
  | "bad-pointer"
  | "name-too-long"
  | "bad-count"
  | "bad-opt"
  | "duplicate-opt"
  | "trailing"

export interface Question {
  /** As `Name.text`. */
  readonly name: string
  readonly type: number
  readonly class: number
  /** It begins at `HEADER`. */
  readonly end: number
}

export type Section = "answer" | "authority" | "additional"

/** Offsets are those of the message. */
export interface ResourceRecord {
  readonly section: Section
  readonly at: number
  readonly type: number
  readonly ttlAt: number
  /** Seconds. RFC 2181 section 8: with the highest bit set it counts as 0. */
  readonly ttl: number
  readonly dataAt: number
  readonly end: number
}

/** What an OPT record says (EDNS). */
export interface Edns {
  readonly at: number
  /** The largest UDP message that its sender takes. */
  readonly payload: number
  readonly version: number
  /** Upper eight bits of the response code. */
  readonly extendedRcode: number
  /** The highest bit is `DO`. */
  readonly flags: number
}

export interface Message {
  readonly id: number
  readonly flags: number
  /** Undefined where there is none, as in some answers to what was not understood. */
  readonly question: Question | undefined
  /** All but OPT. */
  readonly records: readonly ResourceRecord[]
  readonly edns: Edns | undefined
}

/** Reads all of `bytes`. Names within the data of records are not looked at. */
export function parseMessage(bytes: Uint8Array): Message | Malformed {
  if (bytes.length < HEADER) return "truncated"
  const questions = u16(bytes, 4)
  if (questions > 1) return "bad-count" // RFC 9619: no more than one
  let at = HEADER
  let question: Question | undefined
  if (questions === 1) {
    const parsed = parseQuestion(bytes)
    if (typeof parsed === "string") return parsed
    question = parsed
    at = parsed.end
  }
  const records: ResourceRecord[] = []
  let edns: Edns | undefined
  for (const [index, section] of SECTIONS.entries()) {
    const count = u16(bytes, 6 + 2 * index)
    for (let left = count; left > 0; left--) {
      const record = parseRecord(bytes, at, section)
      if (typeof record === "string") return record
      at = record.end
      if (record.type !== TYPE.OPT) {
        records.push(record)
        continue
      }
      if (edns !== undefined) return "duplicate-opt" // RFC 6891 section 6.1.1
      const parsed = parseOpt(bytes, record)
      if (typeof parsed === "string") return parsed
      edns = parsed
    }
  }
  if (at !== bytes.length) return "trailing"
  return { id: u16(bytes, 0), flags: u16(bytes, 2), question, records, edns }
}

const SECTIONS: readonly Section[] = ["answer", "authority", "additional"]

function parseQuestion(bytes: Uint8Array): Question | Malformed {
  const name = parseName(bytes, HEADER, bytes.length)
  if (typeof name === "string") return name
  const end = name.next + 4
  if (end > bytes.length) return "truncated"
  return { name: name.text, type: u16(bytes, name.next), class: u16(bytes, name.next + 2), end }
}

const TTL_MAX = 0x7fff_ffff

function parseRecord(bytes: Uint8Array, at: number, section: Section): ResourceRecord | Malformed {
  const name = parseName(bytes, at, bytes.length)
  if (typeof name === "string") return name
  const dataAt = name.next + 10
  if (dataAt > bytes.length) return "truncated"
  const ttlAt = name.next + 4
  const ttl = u32(bytes, ttlAt)
  const end = dataAt + u16(bytes, name.next + 8)
  if (end > bytes.length) return "truncated"
  return { section, at, type: u16(bytes, name.next), ttlAt, ttl: ttl > TTL_MAX ? 0 : ttl, dataAt, end }
}

function parseOpt(bytes: Uint8Array, record: ResourceRecord): Edns | Malformed {
  const { at, ttlAt, dataAt, end } = record
  // RFC 6891 section 6.1.2: the owner is the root, a single zero.
  if (record.section !== "additional" || u8(bytes, at) !== 0) return "bad-opt"
  let option = dataAt
  while (option < end) {
    if (option + 4 > end) return "bad-opt"
    option += 4 + u16(bytes, option + 2)
  }
  if (option !== end) return "bad-opt"
  return {
    at,
    payload: u16(bytes, ttlAt - 2),
    extendedRcode: u8(bytes, ttlAt),
    version: u8(bytes, ttlAt + 1),
    flags: u16(bytes, ttlAt + 2),
  }
}

/** All twelve bits of a response code. */
export function fullRcode(message: Message): number {
  return ((message.edns?.extendedRcode ?? 0) << 4) | rcode(message.flags)
}

/**
 * For how many seconds an answer may be kept: the least of its times to live; for an answer that there is nothing, not longer than its SOA says
 * (RFC 2308 section 5), and 0 where it has none.
 */
export function lifeOf(bytes: Uint8Array, message: Message): number {
  const code = fullRcode(message)
  if (code !== RCODE.NOERROR && code !== RCODE.NXDOMAIN) return 0
  let life = Number.POSITIVE_INFINITY
  for (const { ttl } of message.records) life = Math.min(life, ttl)
  const type = message.question?.type
  const positive = message.records.some((record) => record.section === "answer" && record.type === type)
  if (code === RCODE.NOERROR && positive) return life
  const soa = message.records.find((record) => record.section === "authority" && record.type === TYPE.SOA)
  if (soa === undefined || soa.end - soa.dataAt < SOA_NUMBERS) return 0
  return Math.min(life, u32(bytes, soa.end - 4))
}

/** Five numbers end a SOA, the last being how long "there is none" may be believed. */
const SOA_NUMBERS = 20

/** One line, as tcpdump would. */
export function pretty(message: Message): string {
  const { id, flags, question, records, edns } = message
  const asked = question === undefined ? "nothing" : `${question.name || "."} type${question.type}`
  const opt = edns === undefined ? "" : ` edns ${edns.payload}`
  return `${id} flags 0x${flags.toString(16)} ${asked} records ${records.length}${opt}`
}
