/**
 * The words of a command line as options: what takes several flags there is one list of objects in a file.
 *
 * ```
 *  --vhost-user NAME=SOCKET  --qemu NAME=SOCKET  --tap [NAME=]INTERFACE[@NETNS]     links
 *  --mac NAME=MAC                                                                   mac of that link
 *  --reserve NAME|MAC|id:HEX=ADDRESS                                                reservations
 *  --forward SPEC                                                                   forwards
 *  --policy MODE  --closed-port PORT[-LAST]                                         policy
 *  --dns-server ADDRESS  --dns-record NAME=ADDRESS  --search DOMAIN                 dns
 *  --capture FILE                                                                   capture
 * ```
 *
 * @module
 */
import * as z from "zod"
import { canonicalMac } from "./addressing/address.ts"
import { badOptions, parsed } from "./bad-options.ts"
import { parseForwardSpec } from "./forward/forward-spec.ts"
import { socketLinkOf, tapLinkOf } from "./links/link-schema.ts"
import { portRangeOf } from "./policy/policy-schema.ts"

const words = z.array(z.string().min(1).max(4096)).max(8192).default([])
const list = z.array(z.unknown()).optional()
const record = z.record(z.string(), z.unknown())

const Words = z.looseObject({
  vhostUser: words,
  qemu: words,
  tap: words,
  mac: words,
  reserve: words,
  forward: words,
  closedPort: words,
  dnsServer: words,
  dnsRecord: words,
  search: words,
  links: list,
  reservations: list,
  forwards: list,
  dns: record.optional(),
  policy: z.union([z.string(), record]).optional(),
  capture: z.union([z.string(), record]).optional(),
})

/** The options with the words among them, to be checked. Throws "bad-options" for a word that cannot be read. */
export function optionsOfWords(input: unknown): unknown {
  const { vhostUser, qemu, tap, mac, reserve, forward, closedPort, dnsServer, dnsRecord, search, ...rest } =
    parsed(Words, input, "options")
  const links = [
    ...(rest.links ?? []),
    ...vhostUser.map((text) => socketLinkOf("vhost-user", text)),
    ...qemu.map((text) => socketLinkOf("qemu", text)),
    ...tap.map(tapLinkOf),
  ]
  return {
    ...rest,
    links: withMacs(links, mac),
    reservations: [...(rest.reservations ?? []), ...reserve.map(reservationOf)],
    forwards: [...(rest.forwards ?? []), ...forward.flatMap(parseForwardSpec)],
    dns: withDns(rest.dns ?? {}, { servers: dnsServer, records: dnsRecord, search }),
    policy: withClosedPorts(rest.policy ?? "open", closedPort),
    ...(rest.capture === undefined
      ? {}
      : { capture: typeof rest.capture === "string" ? { path: rest.capture } : rest.capture }),
  }
}

function withMacs(links: readonly unknown[], texts: readonly string[]): readonly unknown[] {
  const macs = new Map(texts.map((text) => pairOf("MAC address", text)))
  const given = links.map((link) => {
    if (typeof link !== "object" || link === null || !("machine" in link)) return link
    const machine = String(link.machine)
    const mac = macs.get(machine)
    macs.delete(machine)
    return mac === undefined ? link : { ...link, mac }
  })
  for (const name of macs.keys()) throw badOptions(`the MAC address of "${name}": there is no such link`)
  return given
}

function reservationOf(text: string): unknown {
  const [key, address] = pairOf("reservation", text)
  if (key.startsWith("id:")) return { clientId: key.slice("id:".length).toLowerCase(), address }
  return canonicalMac(key) === undefined ? { machine: key, address } : { mac: key, address }
}

interface DnsWords {
  readonly servers: readonly string[]
  readonly records: readonly string[]
  readonly search: readonly string[]
}

function withDns(dns: Readonly<Record<string, unknown>>, { servers, records, search }: DnsWords): unknown {
  return {
    ...dns,
    ...(servers.length === 0 ? {} : { servers: [...listOf(dns["servers"]), ...servers] }),
    ...(records.length === 0 ? {} : { zones: [...listOf(dns["zones"]), ...records.map(zoneOf)] }),
    ...(search.length === 0 ? {} : { search: [...listOf(dns["search"]), ...search] }),
  }
}

/** A zone of one name: gvproxy's form has no other place for it. */
function zoneOf(text: string): unknown {
  const [name, address] = pairOf("DNS record", text)
  const [first = "", ...zone] = name.replace(/\.$/, "").split(".")
  return zone.length === 0
    ? { Name: `${first}.`, Records: [], DefaultIP: address }
    : { Name: `${zone.join(".")}.`, Records: [{ Name: first, IP: address }] }
}

function withClosedPorts(policy: unknown, texts: readonly string[]): unknown {
  if (texts.length === 0) return policy
  const spec = typeof policy === "string" ? { mode: policy } : policy
  const before = typeof spec === "object" && spec !== null && "closedPorts" in spec ? spec.closedPorts : []
  return {
    ...(typeof spec === "object" ? spec : {}),
    closedPorts: [...listOf(before), ...texts.map(portRangeOf)],
  }
}

function pairOf(what: string, text: string): [key: string, value: string] {
  const at = text.lastIndexOf("=")
  if (at < 1 || at === text.length - 1) throw badOptions(`the ${what} "${text}": it is not NAME=VALUE`)
  return [text.slice(0, at), text.slice(at + 1)]
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
