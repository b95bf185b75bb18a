import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryDirectory } from "@skep/testkit"
import { type Bundle, bundle } from "@skep/testkit/bundle"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { backupName } from "../../src/file/backup-name.ts"
import { nodeDisk } from "../../src/file/disk.ts"
import { rewrite } from "../../src/file/rewrite.ts"

const NOW = 1_000_000_000_000
const OLD = "the old file\n"
const NEW = "new\n"
const TEST_MS = 180_000
/** What only looks changes nothing: dying there is dying at the call before. */
const LOOKS = new Set(["statx", "newfstatat", "read", "getdents64", "ioctl", "lseek"])
const KILLED = /^Killed|signal=SIGKILL/

const unavailable =
  spawnSync("strace", ["-V"]).status === 0 && process.platform === "linux" ? undefined : "needs strace"

describe.skipIf(unavailable !== undefined)("a program that rewrites a file", () => {
  let programs: Bundle
  beforeAll(async () => {
    programs = await bundle({ rewriting: "rewriting.ts" }, { from: import.meta.dirname })
  })
  afterAll(() => programs[Symbol.dispose]())

  it("leaves the old file or the new one, whole, at whichever of its system calls it is killed", {
    timeout: TEST_MS,
  }, async () => {
    await using directory = await temporaryDirectory()
    const place = join(directory.path, "d")
    const calls = callsOf(traced(programs, place, "all").log)
    expect(calls.get("renameat2")).toBe(1)
    const seen = new Set<string>()
    let killed = 0
    for (const [call, count] of calls) {
      for (let index = 1; index <= count; index++) {
        const { status, path } = traced(programs, place, call, index)
        if (status !== 0) killed++
        seen.add(readFileSync(path, "utf8"))
        // The next one finds its way through whatever is left.
        rewrite(path, (bytes) => (String(Buffer.from(bytes)) === NEW ? undefined : Buffer.from(NEW)), {
          disk: nodeDisk,
          now: NOW,
        })
        expect(readFileSync(path, "utf8")).toBe(NEW)
        const backups = readdirSync(place).filter((name) => name.startsWith("leases.skep-backup"))
        for (const name of backups.filter((each) => !each.endsWith(".new")))
          expect(readFileSync(join(place, name), "utf8")).toBe(OLD)
      }
    }
    expect([...seen].toSorted()).toEqual([NEW, OLD].toSorted())
    expect(killed).toBeGreaterThan(20)
  })
})

/** Runs it on a new file; with a call, it is killed at the so-manieth of that name. */
function traced(
  programs: Bundle,
  place: string,
  call: string,
  index?: number,
): { readonly status: number | null; readonly log: string; readonly path: string } {
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place)
  const path = join(place, "leases")
  const log = `${place}.log`
  writeFileSync(path, OLD)
  const backup = join(place, backupName("leases", Buffer.from(NEW), NOW))
  const paths = [place, path, join(place, ".leases.skep-new"), backup, `${backup}.new`].flatMap((each) => [
    "-P",
    each,
  ])
  const inject = index === undefined ? [] : ["-e", `inject=${call}:signal=KILL:when=${index}`]
  const words = ["-f", "-o", log, ...paths, "-e", `trace=${call}`, ...inject]
  const program = [process.execPath, programs.at("rewriting.js"), path, NEW, String(NOW)]
  const { status, stderr } = spawnSync("strace", [...words, ...program], { encoding: "utf8" })
  if (index === undefined && status !== 0) throw new Error(`it failed by itself: ${stderr}`)
  if (status !== 0 && stderr !== "" && !KILLED.test(stderr)) throw new Error(stderr)
  return { status, log: readFileSync(log, "utf8"), path }
}

/** How many of each the program itself made. */
function callsOf(log: string): ReadonlyMap<string, number> {
  const own = /^\d+/.exec(log)?.[0] ?? ""
  const calls = new Map<string, number>()
  for (const [, pid, name = ""] of log.matchAll(/^(\d+)\s+([a-z_0-9]+)\(/gm))
    if (pid === own && !LOOKS.has(name)) calls.set(name, (calls.get(name) ?? 0) + 1)
  return calls
}
