/**
 * Machines of Skep: `$SKEP_HOME/machines/NAME/machine.json`; what runs says `$SKEP_RUN/NAME/vm.json`.
 *
 * @module
 */
import { join } from "node:path"
import type { Host } from "./host.ts"
import { type Machine, macsIn, memberOf, parseJson, textOf } from "./machine.ts"

const TOOL = "skep"

export function readSkep(host: Host): readonly Machine[] {
  const own = host.env["SKEP_HOME"]
  const homes = [
    ...(own === undefined ? [] : [{ home: own, run: host.env["SKEP_RUN"] ?? join(own, "run") }]),
    ...host.homes.map((home) => ({
      home: join(home, ".skep"),
      run: own === undefined ? (host.env["SKEP_RUN"] ?? join(home, ".skep/run")) : join(home, ".skep/run"),
    })),
  ]
  return homes.flatMap(({ home, run }) => {
    const machines = join(home, "machines")
    return host.names(TOOL, machines).flatMap((name) => {
      const path = join(machines, name, "machine.json")
      const text = host.text(TOOL, path)
      if (text === undefined) return []
      const pid = memberOf(
        memberOf(parseJson(host.text(TOOL, join(run, name, "vm.json")) ?? ""), "identity"),
        "pid",
      )
      return skepMachine(text, path, typeof pid === "number" && host.isAlive(pid))
    })
  })
}

export function skepMachine(text: string, path: string, running: boolean): readonly Machine[] {
  const record = parseJson(text)
  const name = textOf(memberOf(record, "name"))
  if (name === undefined) return []
  return [
    {
      tool: TOOL,
      name,
      path,
      running,
      macs: macsIn({ mac: memberOf(record, "mac") }),
      macsComplete: true,
      hostNames: [name],
      addresses: [],
    },
  ]
}
