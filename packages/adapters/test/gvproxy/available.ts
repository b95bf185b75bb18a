/**
 * The gvproxy of this host, and what stands in for it where there is none.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { chmodSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { bundle } from "@skep/testkit/bundle"
import { GUEST } from "../../src/gvproxy/command-line.ts"

// oxlint-disable-next-line node/no-process-env -- whoever runs the tests says which
const PROGRAM = process.env["SKEP_GVPROXY"] ?? "gvproxy"

/** The program, where it is installed. */
export function installedGvproxy(): string | undefined {
  return spawnSync(PROGRAM, ["-version"], { stdio: "ignore" }).error === undefined ? PROGRAM : undefined
}

export interface StandIn extends Disposable {
  readonly program: string
}

/**
 * A program that takes gvproxy's command line and is skep-network: the same framing on the machine's socket, the same HTTP service, the same
 * addresses. It refuses what it does not know. Bundled, as it ships: it starts five times as fast as from source.
 */
export async function standIn(): Promise<StandIn> {
  const made = await bundle(
    { network: "main.ts", "network-thread": "thread.ts" },
    { from: join(import.meta.dirname, "../../../network/src") },
  )
  const program = made.at("gvproxy")
  writeFileSync(program, scriptOf(made.at("network.js")))
  chmodSync(program, 0o755)
  return { program, [Symbol.dispose]: () => made[Symbol.dispose]() }
}

function scriptOf(network: string): string {
  return `#!/bin/sh
umask 0077
while [ $# -gt 0 ]; do
  case $1 in
    -listen) api=\${2#unix://} ;;
    -listen-qemu) link=\${2#unix://} ;;
    -mtu) mtu=$2 ;;
    -ssh-port) [ "$2" = -1 ] || exit 2 ;;
    *) echo "flag provided but not defined: $1" >&2; exit 2 ;;
  esac
  shift 2
done
exec '${process.execPath}' '${network}' --directory "$link.d" --port-socket "$api" --qemu "vm=$link" \\
  --mac vm=${GUEST.mac} --mtu "$mtu" --subnet 192.168.127.0/24 --reserve vm=${GUEST.address} --policy loopback \\
  --lonely-ms 120000
`
}
