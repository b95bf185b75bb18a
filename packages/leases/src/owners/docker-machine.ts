/**
 * Machines of minikube and docker-machine: `machines/NAME/config.json`, which has the driver's own settings under `Driver`.
 *
 * The drivers of vmnet without an Ethernet address in them (hyperkit, xhyve) leave it to the UUID; such a machine is known by its name and by where it was
 * last seen.
 *
 * @module
 */
import { join } from "node:path"
import type { Host } from "./host.ts"
import { addressesIn, type Machine, macsIn, memberOf, parseJson, textOf } from "./machine.ts"

const PID_FILES = ["hyperkit.pid", "qemu.pid", "vfkit.pid", "krunkit.pid", "xhyve.pid"]

export function readMinikube(host: Host): readonly Machine[] {
  const own = host.env["MINIKUBE_HOME"]
  const homes = [
    // Both are in use: the variable may or may not have the directory's own name at its end.
    ...(own === undefined ? [] : [own, join(own, ".minikube")]),
    ...host.homes.map((home) => join(home, ".minikube")),
  ]
  return [...new Set(homes)].flatMap((home) => machines(host, "minikube", join(home, "machines")))
}

export function readDockerMachine(host: Host): readonly Machine[] {
  const own = host.env["MACHINE_STORAGE_PATH"]
  const homes = [
    ...(own === undefined ? [] : [own]),
    ...host.homes.map((home) => join(home, ".docker/machine")),
  ]
  return [...new Set(homes)].flatMap((home) => machines(host, "docker-machine", join(home, "machines")))
}

function machines(host: Host, tool: string, directory: string): readonly Machine[] {
  return host.names(tool, directory).flatMap((name) => {
    const path = join(directory, name, "config.json")
    const text = host.text(tool, path)
    if (text === undefined) return []
    const files = PID_FILES.map((file) => join(directory, name, file))
    const machine = configuredMachine({ tool, name, path, text })
    if (machine === undefined) return []
    return [host.runs(tool, files) ? { ...machine, running: true } : machine]
  })
}

/** Undefined for what is no such file. */
export function configuredMachine({
  tool,
  name,
  path,
  text,
}: Readonly<Record<"tool" | "name" | "path" | "text", string>>): Machine | undefined {
  const config = parseJson(text)
  const driver = memberOf(config, "Driver")
  if (driver === undefined) return undefined
  const own = textOf(memberOf(driver, "MachineName")) ?? textOf(memberOf(config, "Name")) ?? name
  const macs = macsIn(driver)
  // dlite, and drivers after it, have the machine call itself by its UUID.
  const uuid = textOf(memberOf(driver, "UUID"))
  return {
    tool,
    name: own,
    path,
    macs,
    macsComplete: macs.length > 0,
    hostNames: [own, ...(uuid === undefined || uuid === "" ? [] : [uuid])],
    addresses: macs.length > 0 ? [] : addressesIn({ ip: memberOf(driver, "IPAddress") }),
  }
}
