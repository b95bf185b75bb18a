/**
 * What these tests need of the machine they run on.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"

/** Why a test that needs these programs cannot run here, said once; undefined where it can. */
export function missing(what: string, ...programs: readonly string[]): string | undefined {
  const reason = reasonFor(programs)
  if (reason !== undefined) process.stderr.write(`skipped: ${what} (${reason})\n`)
  return reason
}

function reasonFor(programs: readonly string[]): string | undefined {
  if (process.platform !== "linux") return "needs Linux"
  if (process.getuid?.() !== 0) return "needs root, for network namespaces"
  const absent = ["ip", "unshare", "udhcpc", ...programs].filter(
    (name) => spawnSync("sh", ["-c", 'command -v "$1"', "sh", name]).status !== 0,
  )
  if (absent.length > 0) return `needs ${absent.join(", ")}`
  if (!existsSync("/dev/net/tun")) return "needs /dev/net/tun"
  const name = `skep-probe-${process.pid}`
  if (spawnSync("ip", ["netns", "add", name]).status !== 0) return "needs network namespaces"
  spawnSync("ip", ["netns", "delete", name])
  return undefined
}
