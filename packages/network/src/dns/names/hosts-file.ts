/**
 * The hosts file, hosts(5): one address a line, its names after it.
 *
 * @module
 */

import { canonicalAddress } from "../../addressing/address.ts"
import type { Question } from "../message/message.ts"
import { canonicalName, isHostName } from "../message/name.ts"
import { RCODE, TYPE } from "../message/number.ts"
import type { Known } from "../message/reply.ts"
import { addressRecords, pointerRecord } from "./answer.ts"
import { parseReverse } from "./reverse.ts"

export interface HostsTable {
  readonly byName: ReadonlyMap<string, readonly string[]>
  /** The first name of the first line of each address. */
  readonly byAddress: ReadonlyMap<string, string>
}

/** A name may stand on many lines; what is more than this is no host any more. */
const ADDRESSES_MAX = 64

/** Reads the file's text. Lines that make no sense are passed over, as the C library does. */
export function parseHosts(text: string): HostsTable {
  const byName = new Map<string, string[]>()
  const byAddress = new Map<string, string>()
  for (const line of text.split("\n")) {
    const [first, ...names] = line.replace(/#.*/, "").trim().split(/\s+/)
    const address = canonicalAddress(first ?? "")
    if (address === undefined) continue
    const canonical = names.map(canonicalName).filter(isHostName)
    if (canonical[0] !== undefined && !byAddress.has(address)) byAddress.set(address, canonical[0])
    for (const name of canonical) {
      const known = byName.get(name)
      if (known === undefined) byName.set(name, [address])
      else if (known.length < ADDRESSES_MAX && !known.includes(address)) known.push(address)
    }
  }
  return { byName, byAddress }
}

/** Types that carry addresses too, and would lead around what the file says. */
const WITH_ADDRESSES: readonly number[] = [TYPE.A, TYPE.AAAA, TYPE.SVCB, TYPE.HTTPS]

/**
 * What the file says. A name that is there has the addresses that stand there and no others, of either family; of its other types the file knows
 * nothing. Undefined for that, and for names that are not there.
 */
export function answerHosts(question: Question, hosts: HostsTable): Known | undefined {
  const { name, type } = question
  const addresses = hosts.byName.get(name)
  if (addresses !== undefined && WITH_ADDRESSES.includes(type))
    return { rcode: RCODE.NOERROR, answers: addressRecords(question, addresses) }
  if (type !== TYPE.PTR || !name.endsWith(".arpa")) return undefined
  const target = hosts.byAddress.get(parseReverse(name) ?? "")
  return target === undefined
    ? undefined
    : { rcode: RCODE.NOERROR, answers: [pointerRecord(question, target)] }
}
