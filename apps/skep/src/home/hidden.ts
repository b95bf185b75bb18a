/**
 * What no machine sees of the host.
 *
 * @module
 */
import { realpath } from "node:fs/promises"
import type { Home } from "./paths.ts"

/** Skep's own disks and keys, by every name. */
export async function hiddenDirectories({
  home,
  run,
}: Pick<Home, "home" | "run">): Promise<readonly string[]> {
  const real = await Promise.all([home, run].map((path) => realpath(path).catch(() => path)))
  return [...new Set([home, run, ...real])]
}
