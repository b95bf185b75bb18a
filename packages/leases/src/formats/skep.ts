/**
 * The leases of skep-network, as `packages/network/src/dhcp/lease-file.md` documents them: a JSON object with a list of leases.
 *
 * Entries that are no leases are not understood by the network either, which keeps them: they are no reason not to change the file.
 *
 * @module
 */
import * as address from "@skep/wire/address"
import type { LeaseFormat } from "../format.ts"
import { type Document, ETHERNET, type Lease, shown } from "../model.ts"
import * as fields from "./fields.ts"
import {
  type Element,
  type Fields,
  isFields,
  readArray,
  removeElements,
  sourceOf,
  textOf,
} from "./json-array.ts"
import { Reading } from "./reading.ts"

export const skep: LeaseFormat = {
  name: "skep",
  title: "leases of skep-network",
  places: [],
  detect,
  parse,
  remove: (document, leases) => removeElements(document, leases, LIST),
}

const LIST = "leases"
const VERSION = 1
const HEAD = 4096
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/
const HEX = /^([0-9a-f]{2})+$/

function detect(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes.subarray(0, HEAD)).toString("latin1")
  return /^\s*\{[^[]*"format"\s*:\s*"skep-leases"/.test(head)
}

function parse(file: Uint8Array, path: string): Document {
  const reading = new Reading("skep", file, path)
  const rest = readArray(reading, LIST, (object, element) => {
    const lease = leaseOf(object, element, path)
    if (lease !== undefined) reading.leases.push(lease)
    return undefined
  })
  if (isFields(rest)) {
    const { format, version, network } = rest
    if (format !== "skep-leases") reading.problem(1, 'its format is not "skep-leases"')
    else if (version !== VERSION)
      reading.problem(1, `its version is ${shown(JSON.stringify(version ?? null))}, known is ${VERSION}`)
    const prefix = address.parsePrefix(textOf(network) ?? "")
    if (typeof prefix !== "string" && prefix.address.length === 4) {
      const found = fields.networkOf(address.format(prefix.address), prefix.length)
      if (found !== undefined) reading.networks.push({ ...found, server: undefined })
    }
  }
  return reading.document()
}

function leaseOf(entry: Fields, element: Element, path: string): Lease | undefined {
  const mac = textOf(entry["mac"]) ?? ""
  const addressText = Buffer.from(textOf(entry["address"]) ?? "", "utf8")
  const quad = fields.ipv4(addressText, 0, addressText.length)
  const expires = Date.parse(textOf(entry["expires"]) ?? "")
  const clientId = textOf(entry["clientId"])
  if (quad === undefined || !MAC.test(mac) || Number.isNaN(expires)) return undefined
  return {
    address: quad,
    hardwareType: ETHERNET,
    hardware: mac,
    clientId:
      clientId !== undefined && HEX.test(clientId) ? clientId.replaceAll(/..(?!$)/g, "$&:") : undefined,
    name: textOf(entry["hostName"]),
    machine: textOf(entry["machine"]),
    expires,
    state: "bound",
    source: sourceOf(element, path),
  }
}
