/**
 * Which ports of the host the adapter listens on: the kernel cannot listen on all of them, so they must be known.
 *
 * @module
 */
import { basename, dirname } from "node:path"
import { PORT_MAX } from "@skep/vsock-host/dialect"
import type { VhostVsockOptions } from "./options.ts"

const HYPERKIT = /^00000002\.([0-9a-f]{8})$/
const FIRECRACKER = /^_([0-9]{1,10})$/

/**
 * Those of port maps, and those told; where none were told, those of services whose socket is there already. `list` names what is in a directory,
 * nothing where there is none.
 */
export function servicePorts(
  options: VhostVsockOptions,
  list: (directory: string) => readonly string[],
): readonly number[] {
  const mapped = options.ports.filter(({ mode }) => mode === "listen").map(({ port }) => port)
  return [...new Set([...mapped, ...(options.services ?? found(options, list))])].toSorted((a, b) => a - b)
}

function found(
  { directory, udsPath }: VhostVsockOptions,
  list: (directory: string) => readonly string[],
): readonly number[] {
  const hyperkit = directory === undefined ? [] : list(directory).map((name) => numberIn(HYPERKIT, name, 16))
  const own = udsPath === undefined ? "" : basename(udsPath)
  const firecracker =
    udsPath === undefined
      ? []
      : list(dirname(udsPath))
          .filter((name) => name.startsWith(own))
          .map((name) => numberIn(FIRECRACKER, name.slice(own.length), 10))
  return [...hyperkit, ...firecracker].filter((port) => port <= PORT_MAX)
}

/** NaN where the name is another. */
function numberIn(pattern: RegExp, name: string, base: 10 | 16): number {
  return Number.parseInt(pattern.exec(name)?.[1] ?? "", base)
}
