/**
 * All servers, and where their leases are on a host.
 *
 * @module
 */
import { readdirSync, statSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import type { Host } from "../owners/host.ts"
import { bootpd } from "./bootpd.ts"
import { dnsmasq, libvirt } from "./dnsmasq.ts"
import { iscDhcpd, networkd } from "./offline.ts"
import type { LeaseServer } from "./server.ts"
import { skep } from "./skep.ts"

export const SERVERS: readonly LeaseServer[] = [bootpd, dnsmasq, libvirt, skep, iscDhcpd, networkd]

/** Files beside a lease file whose settings say something of it have the server's name too. */
export function serverNamed(format: string): LeaseServer | undefined {
  return SERVERS.find(({ name }) => name === format)
}

export interface Place {
  readonly path: string
  /** Of networks and reservations, no leases. */
  readonly isSettings: boolean
}

/** Lease files that are there, and files of their servers' settings. */
export function placesOn(host: Host): readonly Place[] {
  const ours = [
    ...(host.env["SKEP_HOME"] === undefined ? [] : [host.env["SKEP_HOME"]]),
    ...host.homes.map((home) => join(home, ".skep")),
  ].map((home) => ({ path: join(home, "network/leases.json"), isSettings: false }))
  const others = SERVERS.flatMap(({ places, settings = [] }) => [
    ...places.flatMap((place) => expanded(host.at(place)).map((path) => ({ path, isSettings: false }))),
    ...settings.map((path) => ({ path: host.at(path), isSettings: true })),
  ])
  return [...ours, ...others].filter(({ path }) => isFile(path))
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile()
  } catch {
    // One that may not be looked at is there all the same: whoever reads it says so.
    return !path.includes("*") && isUnder(path)
  }
}

/** Whether the directory keeps us out. */
function isUnder(path: string): boolean {
  try {
    statSync(dirname(path))
    return readdirSync(dirname(path)).includes(basename(path))
  } catch {
    return false
  }
}

/** A pattern has one star, for all of a name or a part of it. */
function expanded(pattern: string): readonly string[] {
  const parts = pattern.split("/")
  const at = parts.findIndex((part) => part.includes("*"))
  if (at === -1) return [pattern]
  const directory = parts.slice(0, at).join("/")
  const [head = "", tail = ""] = (parts[at] ?? "").split("*")
  try {
    return readdirSync(directory)
      .filter(
        (name) => name.startsWith(head) && name.endsWith(tail) && !/\.skep-(backup|new|lock)/.test(name),
      )
      .toSorted()
      .map((name) => [directory, name, ...parts.slice(at + 1)].join("/"))
  } catch {
    return []
  }
}
