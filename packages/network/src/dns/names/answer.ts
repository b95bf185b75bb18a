/**
 * Answers from addresses and names: what tables know, as records.
 *
 * @module
 */
import type { Answer } from "dns-packet"
import type { Question } from "../message/message.ts"
import { RCODE, TYPE } from "../message/number.ts"
import type { Known } from "../message/reply.ts"
import { isIPv6 } from "./reverse.ts"

/** Seconds for which a machine may believe our own tables: they change while it runs. */
const OWN_TTL = 5

/** The records of a name that has these addresses: those of the family asked for, or none (NODATA). */
export function addressRecords(question: Question, addresses: readonly string[]): readonly Answer[] {
  const { type, name } = question
  if (type !== TYPE.A && type !== TYPE.AAAA) return []
  const wanted = addresses.filter((address) => isIPv6(address) === (type === TYPE.AAAA))
  return wanted.map((data) => ({ type: type === TYPE.A ? "A" : "AAAA", name, ttl: OWN_TTL, data }))
}

export function pointerRecord(question: Question, target: string): Answer {
  return { type: "PTR", name: question.name, ttl: OWN_TTL, data: target }
}

export function soaRecord(zone: string): Answer {
  const data = {
    mname: "gateway.skep.internal",
    rname: "hostmaster.skep.internal",
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: OWN_TTL,
  }
  return { type: "SOA", name: zone, ttl: OWN_TTL, data }
}

/** That there is nothing: the name, or this type of it. With the SOA that lets it be believed for a moment (RFC 2308). */
export function nothing(zone: string, rcode: number): Known {
  return { rcode, authoritative: true, authorities: [soaRecord(zone)] }
}

/** `answers`, or that `zone` has none of this type. */
export function found(zone: string, answers: readonly Answer[]): Known {
  return answers.length === 0
    ? nothing(zone, RCODE.NOERROR)
    : { rcode: RCODE.NOERROR, authoritative: true, answers }
}
