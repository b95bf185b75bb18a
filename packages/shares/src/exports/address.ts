/**
 * From which address of this host a machine asks its NFS server, and so to which its directories are exported.
 *
 * The whole of 127.0.0.0/8 is this host (RFC 1122, section 3.2.1.3), and Linux lets anybody use any address of it. So each machine has one of its own: two may
 * have the same directory, each as it was told, and what comes from elsewhere, other machines among it, is refused. macOS has 127.0.0.1 only.
 *
 * @module
 */
import { createHash } from "node:crypto"
import type { ExportPlatform } from "./request.ts"

/** 127.64.0.0/10: what programs take by hand is lower. */
const FIRST = 64
const HOSTS = 254

export function addressOf(machine: string, platform: ExportPlatform): string {
  if (platform === "macos") return "127.0.0.1"
  const [a = 0, b = 0, c = 0] = createHash("sha256").update("skep address\0").update(machine).digest()
  return `127.${FIRST + (a % FIRST)}.${b}.${1 + (c % HOSTS)}`
}
