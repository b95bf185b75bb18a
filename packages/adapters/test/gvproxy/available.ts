/**
 * The gvproxy of this host, and what stands in for it where there is none.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { build, stop } from "esbuild"
import { GUEST } from "../../src/gvproxy/command-line.ts"

const root = join(import.meta.dirname, "../../../..")
// oxlint-disable-next-line node/no-process-env -- whoever runs the tests says which
const PROGRAM = process.env["SKEP_GVPROXY"] ?? "gvproxy"
/** What the CommonJS packages inside expect around them, under names that nobody else has. */
const COMMON_JS = [
  'import { createRequire as __createRequire } from "node:module"',
  'import { dirname as __dirnameOf } from "node:path"',
  'import { fileURLToPath as __fileOf } from "node:url"',
  "const require = __createRequire(import.meta.url)",
  "const __filename = __fileOf(import.meta.url)",
  "const __dirname = __dirnameOf(__filename)",
].join("\n")

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
  const parent = join(root, "node_modules/.cache")
  mkdirSync(parent, { recursive: true })
  const directory = mkdtempSync(join(parent, "gvproxy-"))
  const source = join(root, "packages/network/src")
  await build({
    entryPoints: { network: join(source, "main.ts"), "network-thread": join(source, "thread.ts") },
    outdir: directory,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    conditions: ["source"],
    external: ["koffi", "*.node"],
    banner: { js: COMMON_JS },
    logLevel: "warning",
  })
  await stop() // its service process would outlive the test
  const program = join(directory, "gvproxy")
  writeFileSync(program, scriptOf(join(directory, "network.js")))
  chmodSync(program, 0o755)
  return { program, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) }
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
