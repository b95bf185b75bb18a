// Brings node_modules to what package-lock.json says; does nothing when it is there already.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fail } from "./host-programs.mjs"

const root = join(import.meta.dirname, "..")
const stamp = join(root, "node_modules", ".skep-lock")

export function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  fail(
    `Node ${process.versions.node} is too old: Skep needs 20.19 or newer`,
    "install a newer nodejs package",
  )
}

export function installDependencies() {
  const wanted = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return
  process.stderr.write("skep: installing the npm packages of package-lock.json\n")
  // Not `npm ci`: a lock file written where a registry holds only some platforms' binaries lists only those, and `npm ci` refuses it.
  const result = spawnSync("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  })
  if (result.status !== 0) fail("npm install did not succeed", "run npm install and read what it says")
  writeFileSync(stamp, wanted)
}
