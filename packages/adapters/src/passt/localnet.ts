/**
 * Whether the kernel keeps what comes from 127.0.0.1 inside the host, which the policy "loopback" stands on.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const INTERFACES = "/proc/sys/net/ipv4/conf"

/** The interfaces that would let packets of the loopback out (`route_localnet`), "all" among them. */
export function leakingInterfaces(root: string = INTERFACES): readonly string[] {
  return readdirSync(root).filter((name) => name !== "lo" && read(join(root, name, "route_localnet")) === "1")
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim()
  } catch {
    return "" // the interface has gone meanwhile
  }
}
