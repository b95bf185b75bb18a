/**
 * Replies: those we make, and the last touch to every one before it goes to a machine.
 *
 * @module
 */

import { putU16, putU32, u16 } from "@skep/wire/bytes"
import { type Answer, encode } from "dns-packet"
import { copyOf } from "./bytes.ts"
import { HEADER, MESSAGE_MAX, type Message, OPT_SIZE, type Question, type ResourceRecord } from "./message.ts"
import { DO, FLAG, opcode, RCODE, TYPE } from "./number.ts"
import { UDP_PAYLOAD } from "./query.ts"

/** How a query came. A UDP answer has to fit into one message. */
export type Transport = "udp" | "tcp"

/** An answer that we know by ourselves. */
export interface Known {
  /** Twelve bits. */
  readonly rcode: number
  readonly authoritative?: boolean
  readonly answers?: readonly Answer[]
  readonly authorities?: readonly Answer[]
  /** One of `EXTENDED_ERROR`, for those who understand EDNS. */
  readonly reason?: number | undefined
}

const COUNTS = 6
const COUNTS_SIZE = 6

/** A reply without OPT, with the question as the machine wrote it. */
export function emitKnown(query: Uint8Array, question: Question, known: Known): Uint8Array {
  const { answers = [], authorities = [] } = known
  const records = [...answers, ...authorities].map((record) => emitRecord(record, question))
  const reply = new Uint8Array(records.reduce((end, record) => end + record.length, question.end))
  reply.set(query.subarray(0, question.end))
  const authoritative = known.authoritative === true ? FLAG.AA : 0
  putU16(reply, 2, FLAG.QR | authoritative | (known.rcode & 0xf))
  putU16(reply, COUNTS, answers.length)
  putU16(reply, COUNTS + 2, authorities.length)
  putU16(reply, COUNTS + 4, 0)
  let at = question.end
  for (const record of records) {
    reply.set(record, at)
    at += record.length
  }
  return reply
}

/**
 * One record. dns-packet compresses no names, so what it makes can stand anywhere; an owner that is the question's becomes a pointer to it, which
 * also holds for names that dns-packet could not write.
 */
function emitRecord(record: Answer, question: Question): Uint8Array {
  if (record.name !== question.name) return encode({ answers: [record] }).subarray(HEADER)
  const bytes = encode({ answers: [{ ...record, name: "." }] })
  putU16(bytes, HEADER - 1, POINTER_TO_QUESTION)
  return bytes.subarray(HEADER - 1)
}

const POINTER_TO_QUESTION = 0xc000 | HEADER

/** RFC 1035 section 4.1.1: a reply to what could not be read. `query` has at least a header. */
export function emitUnreadable(query: Uint8Array): Uint8Array {
  const reply = new Uint8Array(HEADER)
  reply.set(query.subarray(0, 2))
  const flags = u16(query, 2)
  putU16(reply, 2, FLAG.QR | (opcode(flags) << 11) | (flags & FLAG.RD) | RCODE.FORMERR)
  return reply
}

/** The answer without the OPT of whoever gave it, which is meant for the next hop only. What follows OPT can be done without. */
export function withoutOpt(bytes: Uint8Array, message: Message): Uint8Array {
  if (message.edns === undefined) return copyOf(bytes)
  const { at } = message.edns
  const reply = copyOf(bytes, 0, at)
  const kept = message.records.filter((record) => record.section === "additional" && record.at < at)
  putU16(reply, 10, kept.length)
  return reply
}

/** Lowers every time to live by `seconds`. */
export function age(reply: Uint8Array, records: readonly ResourceRecord[], seconds: number): void {
  for (const { ttlAt, ttl } of records) putU32(reply, ttlAt, Math.max(0, ttl - seconds))
}

export interface Finish {
  readonly transport: Transport
  readonly rcode?: number
  readonly reason?: number | undefined
}

export interface Finished {
  readonly bytes: Uint8Array
  /** It did not fit; the machine is to ask again over TCP. */
  readonly cut: boolean
}

/**
 * Makes of `reply`, which has no OPT and a question as long as that of the query, what the machine gets: its own id and question, byte for byte,
 * an OPT if it sent one (RFC 6891 section 6.1.1), and nothing but TC where all of that is too large for its way (RFC 2181 section 9).
 */
export function finish(reply: Uint8Array, query: Uint8Array, asked: Message, how: Finish): Finished {
  const { edns, question } = asked
  const option = edns === undefined || how.reason === undefined ? 0 : EXTENDED_ERROR_SIZE
  const opt = edns === undefined ? 0 : OPT_SIZE + option
  const cut = reply.length + opt > roomFor(how.transport, edns?.payload)
  const body = cut ? reply.subarray(0, question?.end ?? HEADER) : reply
  const bytes = new Uint8Array(body.length + opt)
  bytes.set(body)
  bytes.set(query.subarray(0, 2))
  if (question !== undefined) bytes.set(query.subarray(HEADER, question.end), HEADER)
  if (cut) bytes.fill(0, COUNTS, COUNTS + COUNTS_SIZE)
  putU16(bytes, 2, flagsOf(u16(reply, 2), asked) | (cut ? FLAG.TC : 0))
  if (edns !== undefined) {
    putU16(bytes, 10, u16(bytes, 10) + 1)
    putU16(bytes, body.length + 1, TYPE.OPT)
    putU16(bytes, body.length + 3, UDP_PAYLOAD)
    bytes[body.length + 5] = (how.rcode ?? 0) >>> 4
    putU16(bytes, body.length + 7, edns.flags & DO)
    if (how.reason !== undefined) emitReason(bytes, body.length + 9, how.reason)
  }
  return { bytes, cut }
}

/** Option 15 of RFC 8914 with a number and no text. */
const EXTENDED_ERROR_OPTION = 15
const EXTENDED_ERROR_SIZE = 6

function emitReason(bytes: Uint8Array, at: number, reason: number): void {
  putU16(bytes, at, EXTENDED_ERROR_SIZE)
  putU16(bytes, at + 2, EXTENDED_ERROR_OPTION)
  putU16(bytes, at + 4, 2)
  putU16(bytes, at + 6, reason)
}

/** RFC 1035 section 2.3.4; RFC 6891 section 6.2.3: values lower than 512 are 512. */
const UDP_LEAST = 512

function roomFor(transport: Transport, payload: number | undefined): number {
  if (transport === "tcp") return MESSAGE_MAX
  return Math.min(Math.max(payload ?? UDP_LEAST, UDP_LEAST), UDP_PAYLOAD)
}

function flagsOf(flags: number, asked: Message): number {
  // RFC 6840 section 5.8: AD only for those who asked for it.
  const wantsAd = (asked.flags & FLAG.AD) !== 0 || ((asked.edns?.flags ?? 0) & DO) !== 0
  const kept = flags & (FLAG.AA | 0xf | (wantsAd ? FLAG.AD : 0))
  return FLAG.QR | FLAG.RA | (opcode(asked.flags) << 11) | (asked.flags & (FLAG.RD | FLAG.CD)) | kept
}
