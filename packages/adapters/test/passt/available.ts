/**
 * Whether passt can be run here.
 *
 * @module
 */
import { spawnSync } from "node:child_process"

/** Why it cannot, as a skip says it; undefined where it can. */
export function passtUnavailable(): string | undefined {
  const { error } = spawnSync("passt", ["--version"], { stdio: "ignore" })
  return error === undefined ? undefined : "there is no passt on this host"
}
