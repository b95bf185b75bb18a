/**
 * What the host resolves the machines resolve: the C library and we, on a host that the test made itself of two namespaces and three files.
 */
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fromSource, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { hasDig } from "./rig.ts"

const UNSHARE = "/usr/bin/unshare"
const PROGRAM = join(import.meta.dirname, "namespace", "program.ts")
const missing =
  process.getuid?.() !== 0 ? "root" : [UNSHARE, "/usr/bin/getent"].find((path) => !existsSync(path))
const able = missing === undefined && hasDig

if (!able) process.stderr.write(`skipped: the C library as judge of the DNS (needs ${missing ?? "dig"})\n`)

const HOSTS = `
127.0.0.1 localhost
10.1.2.3 db.corp db
10.1.2.4 db.corp
fd01::3 db.corp
10.6.6.7 listed.up.test
`

/** Names, and what both must say of them. */
const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  "db.corp": ["10.1.2.3", "10.1.2.4", "fd01::3"],
  DB: ["10.1.2.3"],
  // In the file with IPv4 alone, in the DNS with others.
  "listed.up.test": ["10.6.6.7"],
  "www.up.test": ["10.9.8.7", "fd09::7"],
  "four.up.test": ["10.9.8.4"],
  "missing.up.test": [],
  // By the host's search list.
  short: ["10.9.8.3"],
  nowhere: [],
}

describe.skipIf(!able)("a host with its files and a name server", () => {
  it("resolves the same for its machines as for its own programs", { timeout: 60_000 }, async () => {
    await using directory = await temporaryDirectory()
    await writeFile(directory.at("hosts"), HOSTS)
    await writeFile(directory.at("resolv.conf"), "nameserver 127.0.0.1\nsearch corp.test\n")
    await writeFile(directory.at("nsswitch.conf"), "hosts: files dns\n")
    const mounts = ["hosts", "resolv.conf", "nsswitch.conf"].map(
      (name) => `mount --bind ${directory.at(name)} "$(realpath /etc/${name})"`,
    )
    const script = [...mounts, "ip link set lo up", 'exec "$@"'].join(" && ")
    const node = [process.execPath, ...fromSource(PROGRAM), ...Object.keys(EXPECTED)]
    const printed = await new Promise<string>((resolve, reject) => {
      const args = ["--mount", "--net", "sh", "-c", script, "sh", ...node]
      execFile(UNSHARE, args, { timeout: 50_000 }, (error, stdout) => {
        if (error === null) resolve(stdout)
        else reject(error)
      })
    })
    const both = Object.entries(EXPECTED).map(([name, all]) => [name, { host: all, machine: all }])
    expect(JSON.parse(printed)).toEqual(Object.fromEntries(both))
  })
})
