/**
 * A host of the test's own that exports: rpcbind played, the kernel's list of file systems a file, and `exportfs` the real one, in a mount namespace with an
 * /etc/exports.d and a /var/lib/nfs of the test's.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { ExportsHost } from "../../../src/backend/exports/machine-exports.ts"

/** Why it cannot be tried here, or undefined. */
export function whyNoExports(): string | undefined {
  if (process.getuid?.() !== 0) return "only root has mount namespaces"
  const tried = spawnSync("unshare", ["--mount", "exportfs", "-s"], { encoding: "utf8" })
  return tried.status === 0 ? undefined : `exportfs does not run: ${tried.error?.message ?? tried.stderr}`
}

export interface PlayedHost {
  readonly host: ExportsHost
  /** Lines of nfs-utils' own table, as path, blank, client. */
  readonly table: () => readonly string[]
  /** Names in `exports.d`. */
  readonly files: () => readonly string[]
  /** What sudo does beside: nothing, or it refuses as it does without a terminal. */
  sudo: "lets" | "refuses"
}

export function playHost(root: string, rpcbind: number): PlayedHost {
  for (const name of ["etc/exports.d", "nfs", "proc"]) mkdirSync(join(root, name), { recursive: true })
  writeFileSync(join(root, "etc/exports"), "")
  writeFileSync(join(root, "proc/filesystems"), "nodev\tnfsd\n")
  const sudo = join(root, "sudo")
  // Its own words are -n and --; what comes then runs where the system's files are the test's.
  writeFileSync(
    sudo,
    `#!/bin/sh
[ -e ${join(root, "refuses")} ] && { exit 1; }
[ "$1 $2" = "-n --" ] || exit 9
shift 2
exec unshare --mount sh -c '
mount --make-rprivate / && mkdir -p /etc/exports.d && touch /etc/exports &&
mount --bind ${join(root, "etc/exports.d")} /etc/exports.d && mount --bind ${join(root, "etc/exports")} /etc/exports &&
mount --bind ${join(root, "nfs")} /var/lib/nfs && exec "$@"' sh "$@"
`,
  )
  chmodSync(sudo, 0o700)
  return {
    host: { etc: join(root, "etc"), sudo, server: { root, rpcbind } },
    table: () => {
      const path = join(root, "nfs/etab")
      const text = existsSync(path) ? readFileSync(path, "utf8") : ""
      return text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => line.replace(/\t/, " ").replace(/\(.*/, ""))
        .toSorted((a, b) => (a < b ? -1 : 1))
    },
    files: () => readdirSync(join(root, "etc/exports.d")),
    set sudo(does: "lets" | "refuses") {
      if (does === "refuses") writeFileSync(join(root, "refuses"), "")
    },
  }
}
