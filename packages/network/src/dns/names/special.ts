/**
 * Names that mean the same everywhere and are nobody's to look up.
 *
 * RFC 6761 (localhost, invalid), RFC 7686 (onion), RFC 9462 section 8 (resolver.arpa).
 *
 * @module
 */
import type { Question } from "../message/message.ts"
import { isWithin } from "../message/name.ts"
import { RCODE, TYPE } from "../message/number.ts"
import type { Known } from "../message/reply.ts"
import { addressRecords, found, nothing, pointerRecord } from "./answer.ts"
import { parseReverse } from "./reverse.ts"

const LOOPBACK = ["127.0.0.1", "::1"]

/** Undefined for every other name. */
export function answerSpecial(question: Question): Known | undefined {
  const { name, type } = question
  if (isWithin(name, "localhost")) return found("localhost", addressRecords(question, LOOPBACK))
  if (isWithin(name, "invalid")) return nothing("invalid", RCODE.NXDOMAIN)
  if (isWithin(name, "onion")) return nothing("onion", RCODE.NXDOMAIN)
  // An encrypted resolver of the host's would be a way past this one.
  if (isWithin(name, "resolver.arpa")) return nothing("resolver.arpa", RCODE.NOERROR)
  if (type !== TYPE.PTR || !name.endsWith(".arpa")) return undefined
  const address = parseReverse(name)
  if (address === undefined || !LOOPBACK.includes(address)) return undefined
  return found(name, [pointerRecord(question, "localhost")])
}
