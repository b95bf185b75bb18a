/**
 * Machines of Lima, and of Colima, which is Lima with another home: `LIMA_HOME/NAME/lima.yaml`.
 *
 * Where the file does not say an Ethernet address, it is made of the host's id and the path of the machine, as `limayaml.MACAddress` and `FillDefault` do.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { join } from "node:path"
import type { Octets } from "../model.ts"
import type { Host } from "./host.ts"
import { type Machine, macOfText } from "./machine.ts"

const NETWORKS_MAX = 8
const PID_FILES = ["ha.pid", "vz.pid", "qemu.pid", "krunkit.pid"]

export function readLima(host: Host): readonly Machine[] {
  const homes = [host.env["LIMA_HOME"] ?? [], ...host.homes.map((home) => join(home, ".lima"))].flat()
  return [...new Set(homes)].flatMap((home) => instances(host, "lima", home))
}

export function readColima(host: Host): readonly Machine[] {
  const own = host.env["COLIMA_HOME"]
  const homes = [
    ...(own === undefined ? [] : [own]),
    ...host.homes.flatMap((home) => [join(home, ".colima"), join(home, ".config/colima")]),
  ]
  return [...new Set(homes)].flatMap((home) => instances(host, "colima", join(home, "_lima")))
}

function instances(host: Host, tool: string, home: string): readonly Machine[] {
  return host
    .names(tool, home)
    .filter((name) => !/^[._]/.test(name))
    .flatMap((name) => {
      const directory = join(home, name)
      const path = join(directory, "lima.yaml")
      const text = host.text(tool, path)
      if (text === undefined) return []
      const files = PID_FILES.map((file) => join(directory, file))
      const running = host.runs(tool, files)
      return [limaMachine({ tool, name, directory, text, hostId: host.machineId, running })]
    })
}

export interface LimaFacts {
  readonly tool: string
  readonly name: string
  readonly directory: string
  /** Of lima.yaml. */
  readonly text: string
  /** Undefined where it is not known: then some addresses are not known either. */
  readonly hostId: string | undefined
  readonly running: boolean
}

export function limaMachine({ tool, name, directory, text, hostId, running }: LimaFacts): Machine {
  const path = join(directory, "lima.yaml")
  const said = [...text.matchAll(/^[^#\n]*\bmacAddress["']?\s*:\s*["']?([0-9a-fA-F:-]+)/gm)]
    .map(([, mac = ""]) => macOfText(mac))
    .filter((mac) => mac !== undefined)
  // One for each network that there may be: more of them match nobody else.
  const places = [directory, ...Array.from({ length: NETWORKS_MAX }, (_, index) => `${path}#${index}`)]
  const made = hostId === undefined ? [] : places.map((place) => limaMac(hostId, place))
  return {
    tool,
    name: tool === "colima" ? name.replace(/^colima-/, "") : name,
    path,
    running,
    macs: [...said, ...made],
    macsComplete: hostId !== undefined,
    hostNames: [`lima-${name}`, ...(tool === "colima" ? [name] : [])],
    addresses: [],
  }
}

/** `limayaml.MACAddress` */
export function limaMac(hostId: string, place: string): Octets {
  const hash = createHash("sha256").update(`${hostId}${place}`).digest("hex")
  return `52:55:55:${hash.slice(0, 2)}:${hash.slice(2, 4)}:${hash.slice(4, 6)}`
}
