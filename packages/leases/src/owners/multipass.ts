/**
 * Machines of Multipass: `multipassd-vm-instances.json` of its daemon, for root's eyes only; one object whose members are the machines.
 *
 * @module
 */
import { join } from "node:path"
import type { Host } from "./host.ts"
import { type Machine, macsIn, memberOf, parseJson } from "./machine.ts"

const TOOL = "multipass"
const FILE = "multipassd-vm-instances.json"
const DATA = [
  "/var/root/Library/Application Support/multipassd",
  "/var/snap/multipass/common/data/multipassd",
  "/var/lib/multipass",
]
/** With the older drivers the file is in the data directory itself. */
const DRIVERS = ["", "qemu", "virtualbox", "lxd", "libvirt", "applevz"]
/** Where a program of it is: without one, nobody needs to look at root's files. */
const INSTALLED = [
  "/Library/LaunchDaemons/com.canonical.multipassd.plist",
  "/snap/bin/multipass",
  "/usr/local/bin/multipass",
]
/** `VirtualMachine::State`: starting, restarting, running, delayed shutdown. */
const RUNNING: ReadonlySet<unknown> = new Set([2, 3, 4, 5])

export function readMultipass(host: Host): readonly Machine[] {
  if (![...INSTALLED, ...DATA].some((path) => host.isThere(host.at(path)))) return []
  return DATA.flatMap((data) =>
    DRIVERS.flatMap((driver) => {
      const path = host.at(join(data, driver, FILE))
      const text = host.text(TOOL, path)
      return text === undefined ? [] : multipassMachines(text, path)
    }),
  )
}

export function multipassMachines(text: string, path: string): readonly Machine[] {
  const instances = parseJson(text)
  if (typeof instances !== "object" || instances === null) return []
  return Object.entries(instances).flatMap(([name, instance]: [string, unknown]) => {
    const macs = macsIn(instance)
    if (macs.length === 0) return []
    return [
      {
        tool: TOOL,
        name,
        path,
        running: RUNNING.has(memberOf(instance, "state")),
        macs,
        macsComplete: true,
        hostNames: [name],
        addresses: [],
      },
    ]
  })
}
