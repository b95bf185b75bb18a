/**
 * Queries of our own, to the host's name servers.
 *
 * @module
 */
import { putU16 } from "@skep/wire/bytes"
import { copyOf } from "./bytes.ts"
import { HEADER, type Message, OPT_SIZE, type Question } from "./message.ts"
import { DO, FLAG, TYPE } from "./number.ts"

/** What a machine asks, without what belongs to its own way to us. */
export interface Asked {
  readonly question: Question
  /** The question as the machine wrote it, name, type and class. */
  readonly bytes: Uint8Array
  /** RD, AD and CD of the machine's query. */
  readonly flags: number
  /** The machine wants to see signatures. */
  readonly dnssec: boolean
}

const PASSED_ON = FLAG.RD | FLAG.AD | FLAG.CD

/** Copies what it needs out of `bytes`. */
export function askedBy(bytes: Uint8Array, message: Message, question: Question): Asked {
  return {
    question,
    bytes: copyOf(bytes, HEADER, question.end),
    flags: message.flags & PASSED_ON,
    dnssec: ((message.edns?.flags ?? 0) & DO) !== 0,
  }
}

/** Two queries with the same key have the same answer, of the same length. */
export function keyOf({ question, flags, dnssec }: Asked): string {
  return `${question.name} ${question.type} ${flags.toString(16)}${dnssec ? "d" : ""}`
}

/** What a name server may send in one UDP message: fits every path uncut, as resolvers agreed in 2020. */
export const UDP_PAYLOAD = 1232

export function emitQuery(asked: Asked, id: number, edns: boolean): Uint8Array {
  const end = HEADER + asked.bytes.length
  const query = new Uint8Array(edns ? end + OPT_SIZE : end)
  putU16(query, 0, id)
  putU16(query, 2, asked.flags)
  putU16(query, 4, 1)
  query.set(asked.bytes, HEADER)
  if (!edns) return query
  putU16(query, 10, 1)
  putU16(query, end + 1, TYPE.OPT)
  putU16(query, end + 3, UDP_PAYLOAD)
  putU16(query, end + 7, asked.dnssec ? DO : 0)
  return query
}
