/**
 * `/var/lib/systemd/network/dhcp-server-lease/INTERFACE`, what the DHCP server of systemd-networkd (since 256) gave: `src/libsystemd-network/sd-dhcp-server-lease.c`.
 *
 *     {"BootID":"...","Address":[192,168,124,1],"PrefixLength":24,"Leases":[
 *       {"ClientId":[1,82,84,0,10,11,12],"Address":[192,168,124,26],"Hostname":"vm1",
 *        "HardwareAddressType":1,"HardwareAddressLength":6,"HardwareAddress":[82,84,0,10,11,12],
 *        "ExpirationUSec":72338380895,"ExpirationRealtimeUSec":1785791504658855}]}
 *
 * ExpirationUSec is of the clock since boot, so only the other one says a time; where neither is there the lease never ends. Before it had BootID the file
 * was the list alone. There is no file while there are no leases.
 *
 * @module
 */
import type { LeaseFormat } from "../format.ts"
import { type Document, type Lease, type Network } from "../model.ts"
import * as fields from "./fields.ts"
import {
  badField,
  type Element,
  type Fields,
  isFields,
  readArray,
  removeElements,
  sourceOf,
  textOf,
} from "./json-array.ts"
import { skipBlanks } from "./lines.ts"
import { Reading } from "./reading.ts"

export const networkd: LeaseFormat = {
  name: "networkd",
  title: "leases of systemd-networkd's server",
  places: ["/var/lib/systemd/network/dhcp-server-lease/*"],
  detect,
  parse,
  remove: (document, leases) => removeElements(document, leases, listOf(document.bytes)),
}

const OBJECT_OPEN = 0x7b
const HEAD = 4096

function detect(bytes: Uint8Array, path: string): boolean {
  const head = Buffer.from(bytes.subarray(0, HEAD)).toString("latin1")
  if (head.trim() === "") return /(^|\/)dhcp-server-lease\/[^/]+$/.test(path)
  return /^\s*(\{[^]*?"(BootID|Leases)"\s*:|\[\s*\{[^}]*"ClientId"\s*:)/.test(head)
}

/** The name of the list of leases, if the file is not that list itself. */
function listOf(bytes: Uint8Array): string | undefined {
  return bytes[skipBlanks(bytes, 0, bytes.length)] === OBJECT_OPEN ? "Leases" : undefined
}

function parse(file: Uint8Array, path: string): Document {
  const reading = new Reading("networkd", file, path)
  const rest = readArray(reading, listOf(file), (object, element) => {
    const lease = leaseOf(object, element, path)
    if (typeof lease === "string") return lease
    reading.leases.push(lease)
    return undefined
  })
  if (isFields(rest)) {
    const network = networkOf(rest)
    if (network !== undefined) reading.networks.push(network)
  }
  return reading.document()
}

/** Or what is wrong with it. */
function leaseOf(object: Fields, element: Element, path: string): Lease | string {
  const address = quadOf(object["Address"])
  if (address === undefined) return badField("Address", object["Address"])
  const clientId = octetsOf(object["ClientId"])
  if (clientId === undefined) return badField("ClientId", object["ClientId"])
  const type = object["HardwareAddressType"]
  const hardware = octetsOf(object["HardwareAddress"])
  const since = object["ExpirationUSec"]
  const expires = object["ExpirationRealtimeUSec"]
  if (expires !== undefined && (typeof expires !== "number" || expires < 0))
    return badField("ExpirationRealtimeUSec", expires)
  return {
    address,
    hardwareType: hardware !== undefined && typeof type === "number" ? type : undefined,
    hardware: typeof type === "number" ? hardware : undefined,
    clientId,
    name: textOf(object["Hostname"]),
    machine: undefined,
    expires: expires === undefined ? withoutTime(since) : fields.millisecondsOf(expires / 1e6),
    state: "bound",
    source: sourceOf(element, path),
  }
}

function withoutTime(sinceBoot: unknown): number | undefined {
  return sinceBoot === undefined ? Number.POSITIVE_INFINITY : undefined
}

function networkOf(rest: Fields): Network | undefined {
  const server = quadOf(rest["Address"])
  const length = rest["PrefixLength"]
  if (server === undefined || typeof length !== "number") return undefined
  return fields.networkOf(server, length)
}

function quadOf(value: unknown): string | undefined {
  const bytes = numbersOf(value)
  return bytes?.length === 4 && fields.octetsFrom(bytes) !== undefined ? bytes.join(".") : undefined
}

function octetsOf(value: unknown): string | undefined {
  const bytes = numbersOf(value)
  return bytes === undefined ? undefined : fields.octetsFrom(bytes)
}

function numbersOf(value: unknown): readonly number[] | undefined {
  return Array.isArray(value) && value.every((item): item is number => typeof item === "number")
    ? value
    : undefined
}
