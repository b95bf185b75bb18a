/**
 * Names of our own: the gateway, the host, the machines. They are answered here and never leave.
 *
 * ```
 *  {host,gateway}.{docker,containers,skep}.internal      as Docker, Podman and gvproxy call them
 *  MACHINE.skep.internal                                  and the same below a domain of the user's
 *  the reverse zones of the network                       PTR of each of them
 * ```
 *
 * @module
 */

import { canonicalAddress } from "../../addressing/address.ts"
import type { Question } from "../message/message.ts"
import { canonicalName, isWithin } from "../message/name.ts"
import { RCODE, TYPE } from "../message/number.ts"
import type { Known } from "../message/reply.ts"
import { addressRecords, found, nothing, pointerRecord, soaRecord } from "./answer.ts"
import { parseReverse, reverseZones } from "./reverse.ts"

const OWN_DOMAIN = "skep.internal"
const BORROWED = ["docker.internal", "containers.internal"]

export interface NamedMachine {
  /** One label. */
  readonly name: string
  readonly addresses: readonly string[]
}

/** The network as it is now. Addresses as text. */
export interface OwnNames {
  readonly gateway: readonly string[]
  /** Where a machine reaches the host; it may be the gateway's own. */
  readonly host: readonly string[]
  readonly machines: Iterable<NamedMachine>
  /** The networks of the machines, such as "192.168.64.0/24": nobody outside can name an address in them. */
  readonly prefixes: readonly string[]
  /** Another domain for the same names, beside `OWN_DOMAIN`. */
  readonly domain?: string
}

/** Undefined where the name is not ours. */
export function answerOwn(question: Question, own: OwnNames): Known | undefined {
  const { name } = question
  if (name.endsWith(".arpa")) return answerReverse(question, own)
  for (const domain of domainsOf(own)) {
    if (!isWithin(name, domain)) continue
    if (name === domain) return answerApex(question, domain)
    const addresses = addressesOf(name.slice(0, -domain.length - 1), own)
    if (addresses === undefined) return nothing(domain, RCODE.NXDOMAIN)
    return found(domain, addressRecords(question, addresses))
  }
  const zone = BORROWED.find((borrowed) => isWithin(name, borrowed))
  const label = zone === undefined ? "" : name.slice(0, -zone.length - 1)
  if (zone === undefined || (label !== "host" && label !== "gateway")) return undefined
  return found(zone, addressRecords(question, own[label]))
}

/** What is left of the zones that are only ours in part: after the hosts file had its say, and before anybody outside. */
export function answerUnknown(question: Question): Known | undefined {
  const zone = BORROWED.find((borrowed) => isWithin(question.name, borrowed))
  if (zone === undefined) return undefined
  return nothing(zone, question.name === zone ? RCODE.NOERROR : RCODE.NXDOMAIN)
}

function domainsOf(own: OwnNames): readonly string[] {
  const other = canonicalName(own.domain ?? OWN_DOMAIN)
  return other === OWN_DOMAIN || other === "" ? [OWN_DOMAIN] : [OWN_DOMAIN, other]
}

/** The gateway and the host come first: a machine of that name cannot take their place. */
function addressesOf(label: string, own: OwnNames): readonly string[] | undefined {
  if (label === "gateway" || label === "host") return own[label]
  for (const machine of own.machines) if (machine.name.toLowerCase() === label) return machine.addresses
  return undefined
}

function answerApex(question: Question, domain: string): Known {
  if (question.type === TYPE.SOA) return found(domain, [soaRecord(domain)])
  if (question.type !== TYPE.NS) return nothing(domain, RCODE.NOERROR)
  return found(domain, [{ type: "NS", name: domain, ttl: 5, data: `gateway.${OWN_DOMAIN}` }])
}

function answerReverse(question: Question, own: OwnNames): Known | undefined {
  const { name, type } = question
  const address = parseReverse(name)
  const target = address === undefined ? undefined : nameOf(address, own)
  const zone = own.prefixes.flatMap((prefix) => zonesOf(prefix)).find((owned) => isWithin(name, owned))
  if (target === undefined) {
    if (zone === undefined) return undefined
    return nothing(zone, name === zone ? RCODE.NOERROR : RCODE.NXDOMAIN)
  }
  return found(zone ?? name, type === TYPE.PTR ? [pointerRecord(question, target)] : [])
}

function nameOf(address: string, own: OwnNames): string | undefined {
  const has = (addresses: readonly string[]): boolean =>
    addresses.some((each) => canonicalAddress(each) === address)
  if (has(own.gateway)) return `gateway.${OWN_DOMAIN}`
  if (has(own.host)) return `host.${OWN_DOMAIN}`
  for (const machine of own.machines)
    if (has(machine.addresses)) return `${machine.name.toLowerCase()}.${OWN_DOMAIN}`
  return undefined
}

/** A network has few prefixes, and they stay. */
const REMEMBERED = 16
const zones = new Map<string, readonly string[]>()

function zonesOf(prefix: string): readonly string[] {
  let known = zones.get(prefix)
  if (known !== undefined) return known
  known = reverseZones(prefix)
  if (zones.size >= REMEMBERED) zones.clear()
  zones.set(prefix, known)
  return known
}
