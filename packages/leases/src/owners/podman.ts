/**
 * Machines of podman: `~/.config/containers/podman/machine/PROVIDER/NAME.json`. Most of them have a network of their own (gvproxy) and never ask a server of the host;
 * what such a file says of Ethernet addresses is taken all the same.
 *
 * @module
 */
import { join } from "node:path"
import type { Host } from "./host.ts"
import { type Machine, macsIn, memberOf, parseJson, textOf } from "./machine.ts"

const TOOL = "podman"
const PLACE = ".config/containers/podman/machine"

export function readPodman(host: Host): readonly Machine[] {
  return host.homes.flatMap((home) => {
    const place = join(home, PLACE)
    return host.names(TOOL, place).flatMap((provider) => {
      const directory = join(place, provider)
      if (!host.isThere(join(directory, "."))) return []
      return host
        .names(TOOL, directory)
        .filter((name) => name.endsWith(".json"))
        .flatMap((name) => {
          const path = join(directory, name)
          const text = host.text(TOOL, path)
          return text === undefined ? [] : podmanMachine(text, path)
        })
    })
  })
}

export function podmanMachine(text: string, path: string): readonly Machine[] {
  const config = parseJson(text)
  const name = textOf(memberOf(config, "Name"))
  if (name === undefined) return []
  const macs = macsIn(config)
  return [
    {
      tool: TOOL,
      name,
      path,
      macs,
      macsComplete: macs.length > 0,
      // Its guests call themselves that until they are told another name.
      hostNames: [name],
      addresses: [],
    },
  ]
}
