/**
 * All machines of all tools that this host knows of.
 *
 * @module
 */
import { readDockerMachine, readMinikube } from "./docker-machine.ts"
import { Host, type HostOptions, type Unread } from "./host.ts"
import { readLibvirt } from "./libvirt.ts"
import { readColima, readLima } from "./lima.ts"
import type { Machine } from "./machine.ts"
import { readMultipass } from "./multipass.ts"
import { readPodman } from "./podman.ts"
import { readSkep } from "./skep.ts"

export interface KnownMachines {
  readonly machines: readonly Machine[]
  /** Places of tools that this user may not look at: what is there may be anybody's. */
  readonly unread: readonly Unread[]
}

/** Reads them. Never throws; what cannot be read is in `unread`. */
export function readMachines(options: HostOptions = {}): KnownMachines {
  const host = new Host(options)
  const machines = [
    readSkep,
    readLima,
    readColima,
    readMinikube,
    readDockerMachine,
    readMultipass,
    readPodman,
    readLibvirt,
  ].flatMap((read) => read(host))
  const seen = new Set<string>()
  const unread = host.unread.filter(({ path }) => !seen.has(path) && seen.add(path))
  return { machines, unread }
}
