/**
 * `/var/lib/libvirt/dnsmasq/BRIDGE.status`, the leases of a network of libvirt, which its `leaseshelper` writes for dnsmasq: `src/util/virlease.c`.
 *
 *     [
 *       {
 *         "ip-address": "192.168.122.56",
 *         "mac-address": "52:54:00:0a:0b:0c",
 *         "hostname": "vm1",
 *         "client-id": "01:52:54:00:0a:0b:0c",
 *         "expiry-time": 1795229243
 *       }
 *     ]
 *
 * Expiry is in seconds of the epoch; 0 is never. Leases of IPv6 have an "iaid" and a "server-duid", and a DUID as "client-id". A network that never had a lease may
 * have an empty file.
 *
 * @module
 */
import type { LeaseFormat } from "../format.ts"
import { type Document, ETHERNET, type Lease } from "../model.ts"
import * as fields from "./fields.ts"
import {
  badField,
  type Element,
  type Fields,
  readArray,
  removeElements,
  sourceOf,
  textOf,
} from "./json-array.ts"
import { isBlank } from "./lines.ts"
import { Reading } from "./reading.ts"

export const libvirt: LeaseFormat = {
  name: "libvirt",
  title: "leases of a network of libvirt",
  places: ["/var/lib/libvirt/dnsmasq/*.status"],
  detect,
  parse,
  remove: (document, leases) => removeElements(document, leases, undefined),
}

const HEAD = 4096

function detect(bytes: Uint8Array, path: string): boolean {
  const head = Buffer.from(bytes.subarray(0, HEAD)).toString("latin1")
  if (head.trim() === "") return isBlank(bytes, 0, bytes.length) && /(^|\/)[^/]+\.status$/.test(path)
  return /^\s*\[\s*\{[^}]*"(ip-address|mac-address|expiry-time)"/.test(head)
    ? true
    : /^\s*\[\s*\]\s*$/.test(head) && bytes.length <= HEAD
}

function parse(file: Uint8Array, path: string): Document {
  const reading = new Reading("libvirt", file, path)
  if (isBlank(file, 0, file.length)) return reading.document()
  readArray(reading, undefined, (object, element) => {
    const lease = leaseOf(object, element, path)
    if (typeof lease === "string") return lease
    reading.leases.push(lease)
    return undefined
  })
  return reading.document()
}

/** Or what is wrong with it. */
function leaseOf(object: Fields, element: Element, path: string): Lease | string {
  const addressText = object["ip-address"]
  const address = asBytes(addressText, fields.ip)
  if (address === undefined) return badField("ip-address", addressText)
  const hardware = asBytes(object["mac-address"], fields.octets)
  if (hardware === undefined && object["mac-address"] !== undefined)
    return badField("mac-address", object["mac-address"])
  const clientId = asBytes(object["client-id"], fields.octets)
  if (clientId === undefined && object["client-id"] !== undefined)
    return badField("client-id", object["client-id"])
  const seconds = object["expiry-time"]
  if (seconds !== undefined && (typeof seconds !== "number" || seconds < 0))
    return badField("expiry-time", seconds)
  return {
    address,
    hardwareType: hardware === undefined ? undefined : ETHERNET,
    hardware,
    clientId,
    name: textOf(object["hostname"]),
    machine: undefined,
    expires: seconds === 0 ? Number.POSITIVE_INFINITY : expiry(seconds),
    state: "bound",
    source: sourceOf(element, path),
  }
}

function expiry(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : fields.millisecondsOf(seconds)
}

function asBytes(
  value: unknown,
  read: (bytes: Buffer, at: number, end: number) => string | undefined,
): string | undefined {
  if (typeof value !== "string") return undefined
  const bytes = Buffer.from(value, "utf8")
  return read(bytes, 0, bytes.length)
}
