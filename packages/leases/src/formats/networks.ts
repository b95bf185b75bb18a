/**
 * The networks of macOS: which addresses bootpd gives out, and where vmnet has its network. Property lists, XML or binary, without leases.
 *
 * `/Library/Preferences/SystemConfiguration/com.apple.vmnet.plist`: Shared_Net_Address and Shared_Net_Mask, Host_Net_Address and Host_Net_Mask; the
 * addresses are the host's own.
 *
 * `/etc/bootpd.plist`, which Internet Sharing writes for vmnet as well: bootpd(8), "Subnets".
 *
 *     Subnets = [{ name, net_address, net_mask, net_range = [first, last], allocate, dhcp_router, lease_max, … }]
 *
 * @module
 */
import * as address from "@skep/wire/address"
import type { LeaseFormat } from "../format.ts"
import { type Document, type Network, shown } from "../model.ts"
import { removeEntries } from "./cutting.ts"
import {
  type Dictionary,
  isDictionary,
  isList,
  isPropertyList,
  Malformed,
  parsePropertyList,
  type Value,
} from "./property-list/index.ts"
import { Reading } from "./reading.ts"

export const vmnetPreferences: LeaseFormat = {
  name: "vmnet",
  title: "preferences of macOS' vmnet",
  places: ["/Library/Preferences/SystemConfiguration/com.apple.vmnet.plist"],
  detect: (bytes, path) => detect(bytes, path, /(^|\/)com\.apple\.vmnet\.plist$/, isVmnet),
  parse: (bytes, path) => parse("vmnet", bytes, path),
  remove: removeEntries,
}

export const bootpdPreferences: LeaseFormat = {
  name: "bootpd-networks",
  title: "networks of macOS' bootpd",
  places: ["/etc/bootpd.plist"],
  detect: (bytes, path) => detect(bytes, path, /(^|\/)bootpd\.plist$/, isBootpd),
  parse: (bytes, path) => parse("bootpd-networks", bytes, path),
  remove: removeEntries,
}

function detect(bytes: Uint8Array, path: string, name: RegExp, is: (list: Dictionary) => boolean): boolean {
  if (bytes.length === 0) return name.test(path)
  if (!isPropertyList(bytes)) return false
  const list = parsePropertyList(bytes)
  return !(list instanceof Malformed) && isDictionary(list) && is(list)
}

function isVmnet(list: Dictionary): boolean {
  return list.has("Shared_Net_Address") || list.has("Host_Net_Address")
}

function isBootpd(list: Dictionary): boolean {
  return list.has("Subnets") || list.has("dhcp_enabled") || list.has("bootp_enabled")
}

function parse(format: string, file: Uint8Array, path: string): Document {
  const reading = new Reading(format, file, path)
  const list = parsePropertyList(file)
  if (list instanceof Malformed) reading.broken(list.line, list.message)
  else if (!isDictionary(list)) reading.problem(1, "the property list is no dictionary")
  else {
    for (const network of format === "vmnet" ? vmnetNetworks(list) : bootpdNetworks(list)) {
      if (typeof network === "string") reading.problem(1, network)
      else reading.networks.push(network)
    }
  }
  return reading.document()
}

function* vmnetNetworks(list: Dictionary): Generator<Network | string> {
  for (const [name, prefix] of [
    ["shared", "Shared_Net"],
    ["host", "Host_Net"],
  ] as const) {
    const server = list.get(`${prefix}_Address`)
    if (server === undefined) continue
    const mask = list.get(`${prefix}_Mask`) ?? "255.255.255.0"
    const network = networkAddress(server, mask)
    yield network === undefined
      ? `${prefix}_Address or ${prefix}_Mask is no address: ${told(server)}, ${told(mask)}`
      : { name, ...network, server: quad(server) }
  }
}

function* bootpdNetworks(list: Dictionary): Generator<Network | string> {
  const subnets = list.get("Subnets")
  if (subnets === undefined) return
  if (!isList(subnets)) {
    yield "Subnets is no list"
    return
  }
  for (const subnet of subnets) yield isDictionary(subnet) ? subnetOf(subnet) : "a subnet is no dictionary"
}

/** Or what is wrong with it. */
function subnetOf(subnet: Dictionary): Network | string {
  const network = networkAddress(subnet.get("net_address"), subnet.get("net_mask"))
  if (network === undefined) return "a subnet without net_address and net_mask"
  const name = subnet.get("name")
  const range = subnet.get("net_range")
  const [first, last] = isList(range) ? range.map(quad) : []
  const seconds = subnet.get("lease_max")
  return {
    name: typeof name === "string" ? name : undefined,
    ...network,
    server: quad(subnet.get("dhcp_router")),
    first,
    last,
    leaseSeconds: typeof seconds === "number" ? seconds : undefined,
  }
}

/** The first address of the network that this one is in, and its mask. */
function networkAddress(of: Value | undefined, mask: Value | undefined): Network | undefined {
  const bytes = parsed(of)
  const maskBytes = parsed(mask)
  if (bytes === undefined || maskBytes === undefined) return undefined
  const bits = maskBytes.reduce((value, byte) => value * 256 + byte, 0)
  // Ones and then zeros: what is missing to 2^32 is a power of two.
  if (!Number.isInteger(Math.log2(2 ** 32 - bits))) return undefined
  return {
    address: address.format(bytes.map((byte, index) => byte & (maskBytes[index] ?? 0))),
    mask: address.format(maskBytes),
  }
}

function quad(value: Value | undefined): string | undefined {
  const bytes = parsed(value)
  return bytes === undefined ? undefined : address.format(bytes)
}

function parsed(value: Value | undefined): Uint8Array | undefined {
  const bytes = typeof value === "string" ? address.parse(value) : undefined
  return bytes instanceof Uint8Array && bytes.length === 4 ? bytes : undefined
}

function told(value: Value): string {
  return typeof value === "string" ? `"${shown(value)}"` : "something else"
}
