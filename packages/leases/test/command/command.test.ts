import { execFileSync, spawnSync } from "node:child_process"
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PassThrough } from "node:stream"
import { SidecarError } from "@skep/contract"
import { fromSource, type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { runAsRoot } from "../../src/command/as-root.ts"
import { leasesCommand } from "../../src/command/program.ts"

const MAIN = join(import.meta.dirname, "../../src/main.ts")
const NOW = Date.UTC(2026, 10, 22)
const HOUR = 3600
const CHILD_MS = 60_000
/** Root passes over permissions, unless it gives that right up. */
const OBEYING =
  process.getuid?.() === 0
    ? ["--bounding-set", "--inh-caps"].map((which) => `${which}=-dac_override,-dac_read_search`)
    : undefined

let directory: TemporaryDirectory
let home: TemporaryDirectory
let path: string
beforeEach(async () => {
  directory = await temporaryDirectory()
  home = await temporaryDirectory()
  path = join(directory.path, "dhcpd_leases")
})
afterEach(async () => {
  await directory[Symbol.asyncDispose]()
  await home[Symbol.asyncDispose]()
})

describe("skep-leases ls", () => {
  it("shows every lease, whose it is, and how many addresses are left", async () => {
    writeFileSync(path, leases())
    const { output, notes } = await run("ls", "--file", path)
    expect(output.split("\n")[0]).toBe("ADDRESS       MAC                NAME  MACHINE   STATE    EXPIRES")
    expect(output).toContain("192.168.64.5  52:54:00:00:00:05  gone  -         stale    in 3 h\n")
    expect(output).toContain("192.168.64.6  52:54:00:00:00:06  over  -         expired  60 min ago\n")
    expect(output).toMatch(/192\.168\.64\.7 .* dev {3}skep:dev {2}live/)
    expect(notes).toContain("192.168.64.0/24: 2 of 253 addresses are in use, 251 are left")
  })
  it("is JSON where that is asked for", async () => {
    writeFileSync(path, leases())
    const { output } = await run("ls", "--json", "--file", path)
    expect(JSON.parse(output)).toMatchObject({
      files: [{ path, format: "bootpd", leases: 3, problems: [] }],
      leases: [{ kind: "stale" }, { kind: "expired" }, { kind: "live", owner: { tool: "skep" } }],
    })
  })
  it("never prints what a client calls itself raw", async () => {
    writeFileSync(path, block(5, "\u001b]0;owned\u0007\u202ename", HOUR))
    for (const words of [
      ["ls"],
      ["show", "192.168.64.5"],
      ["explain", "192.168.64.5"],
      ["prune", "-n", "--all-stale"],
    ]) {
      const { output, notes } = await run(...words, "--file", path)
      // oxlint-disable-next-line no-control-regex -- that is what must not be there
      expect(output + notes).not.toMatch(/[\u001b\u0007\u202e]/)
      expect(output + notes).toContain("\\x1b]0;owned")
    }
  })
  it("explains an address, and says not-found of one that nobody gave", async () => {
    writeFileSync(path, leases())
    const { output } = await run("explain", "192.168.64.5", "--file", path)
    expect(output).toContain("192.168.64.5 is stale: it is not over, but no machine has it")
    expect(output).toContain("prune takes it away with --all-stale, or where it is named.")
    await expect(run("explain", "192.168.64.99", "--file", path)).rejects.toMatchObject({ code: "not-found" })
  })
})

describe("skep-leases prune", () => {
  it("shows a diff and changes nothing with --dry-run", async () => {
    writeFileSync(path, leases())
    const { output, notes } = await run("prune", "--all-stale", "--dry-run", "--file", path)
    expect(output).toContain(`--- ${path}\n+++ ${path} (new)\n@@ -1,17 +1,3 @@\n-{\n-\tname=gone\n`)
    expect(notes).toContain("Nothing is changed: without --dry-run 2 leases would be taken away")
    expect(readFileSync(path, "utf8")).toBe(leases())
    expect(filesIn()).toEqual(["dhcpd_leases"])
  })
  it("takes away what no machine has, keeps a backup, and undoes it", async () => {
    writeFileSync(path, leases(), { mode: 0o640 })
    const { notes } = await run("prune", "--all-stale", "--yes", "--file", path)
    expect(readFileSync(path, "utf8")).toBe(block(7, "dev", HOUR))
    expect(statSync(path).mode & 0o777).toBe(0o640)
    expect(notes).toContain("2 leases taken away")
    expect(filesIn()).toHaveLength(2)
    await run("undo", "--yes", "--file", path)
    expect(readFileSync(path, "utf8")).toBe(leases())
  })
  it("refuses to undo where the server has written since", async () => {
    writeFileSync(path, leases())
    await run("prune", "--yes", "--file", path)
    writeFileSync(path, block(8, "new", HOUR))
    await expect(run("undo", "--yes", "--file", path)).rejects.toMatchObject({ code: "busy" })
    expect(readFileSync(path, "utf8")).toBe(block(8, "new", HOUR))
  })
  it("asks nobody where nobody is there, and changes nothing then", async () => {
    writeFileSync(path, leases())
    await expect(run("prune", "--file", path)).rejects.toMatchObject({ code: "bad-options" })
    expect(readFileSync(path, "utf8")).toBe(leases())
  })
  it("gives a diff that patch(1) takes", async () => {
    if (spawnSync("patch", ["--version"]).status !== 0) return
    const many = Array.from({ length: 60 }, (_, index) =>
      block(index + 2, `vm${index}`, index % 7 === 3 ? -HOUR : HOUR),
    ).join("")
    writeFileSync(path, many)
    const { output } = await run("prune", "--dry-run", "--file", path)
    execFileSync("patch", ["-s", path, "-o", `${path}.patched`], { input: output })
    await run("prune", "--yes", "--file", path)
    expect(readFileSync(path, "utf8")).toBe(readFileSync(`${path}.patched`, "utf8"))
  })
  it("follows a link to the file, says so, and leaves the link", async () => {
    const link = join(directory.path, "link")
    writeFileSync(path, leases())
    symlinkSync(path, link)
    const { notes } = await run("prune", "--yes", "--file", link)
    expect(notes).toContain(`taken away from ${path} (which ${link} leads to)`)
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    expect(readFileSync(path, "utf8")).not.toContain("over")
  })
})

describe("skep-leases prune of several", () => {
  it("leaves the entry that counts where another one is the same but for its name", async () => {
    writeFileSync(path, block(7, "dev", HOUR) + block(7, "former", HOUR))
    const { notes } = await run("prune", "--all-stale", "--yes", "--file", path)
    expect(notes).toContain("1 lease taken away")
    expect(readFileSync(path, "utf8")).toBe(block(7, "dev", HOUR))
  })
  it("says what it has done where the next file cannot be changed", async () => {
    const other = join(directory.path, "other_leases")
    writeFileSync(path, leases())
    writeFileSync(other, leases(), { mode: 0o444 })
    for (const more of [[], ["--json"]]) {
      writeFileSync(path, leases())
      const words = ["prune", "--yes", ...more, "--file", path, "--file", other]
      const { outcome, error } = await runRefused(...words)
      expect(error).toMatchObject({ code: "permission-denied" })
      expect(readFileSync(path, "utf8")).not.toContain("over")
      if (more.length === 0) expect(outcome.notes).toContain(`1 lease taken away from ${path}`)
      else expect(JSON.parse(outcome.output)).toMatchObject([{ path, result: { server: "not-running" } }])
    }
  })
  it("writes through no link in place of its lock, which undo takes too", async () => {
    writeFileSync(path, leases())
    await run("prune", "--yes", "--file", path)
    const lock = `${path}.skep-lock`
    const victim = join(directory.path, "victim")
    writeFileSync(victim, "precious")
    symlinkSync(victim, lock)
    for (const words of [
      ["undo", "--yes"],
      ["prune", "--yes", "--all-stale"],
    ])
      await expect(run(...words, "--file", path)).rejects.toMatchObject({
        code: "unsupported",
        message: expect.stringContaining("it is no lock"),
      })
    expect(readFileSync(victim, "utf8")).toBe("precious")
    expect(readFileSync(path, "utf8")).not.toContain("over")
  })
})

describe("a file that is not as it should be", () => {
  const bad: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
    ["is truncated", `${block(6, "over", -HOUR)}{\n\tname=half`, /line \d+: the file ends in the middle/],
    ["has a zero byte", `${block(6, "over", -HOUR)}\0${block(5, "gone", HOUR)}`, /line \d+: a zero byte/],
    [
      "has carriage returns",
      block(6, "over", -HOUR).replaceAll("\n", "\r\n"),
      /line 1: the line ends in a carriage return/,
    ],
    [
      "has text in it that nobody knows",
      `${block(6, "over", -HOUR)}what?\n`,
      /line 8: text outside of an entry/,
    ],
  ]
  it.each(bad)("that %s is not changed: it says which line", async (_, content, sentence) => {
    writeFileSync(path, content)
    const outcome = await run("prune", "--all-stale", "--yes", "--file", path, "--format", "bootpd").catch(
      (error: unknown) => error,
    )
    if (outcome instanceof SidecarError)
      expect([outcome.code, outcome.message]).toEqual(["corrupt-file", expect.stringMatching(sentence)])
    // Where nothing of it was understood, there is nothing to be taken away either.
    else expect((outcome as Outcome).notes).toMatch(sentence)
    expect(readFileSync(path)).toEqual(Buffer.from(content))
    expect(filesIn()).toEqual(["dhcpd_leases"])
  })
  it("that is empty, missing, a directory or nothing known gets one sentence", async () => {
    writeFileSync(path, "")
    expect((await run("prune", "--yes", "--file", path)).notes).toContain("There is nothing to take away")
    await expect(run("ls", "--file", `${path}-`)).rejects.toMatchObject({ code: "not-found" })
    await expect(run("ls", "--file", directory.path)).rejects.toMatchObject({ code: "unsupported" })
    writeFileSync(path, "hello\n")
    expect((await run("ls", "--file", path)).notes).toContain("line 1: text outside of an entry")
    await expect(run("ls", "--file", `${directory.path}/none/leases`)).rejects.toMatchObject({
      code: "not-found",
    })
  })
  it("that is immutable stays, and its directory too", async (context) => {
    writeFileSync(path, leases())
    if (spawnSync("chattr", ["+i", path]).status !== 0) context.skip("needs chattr +i")
    try {
      await expect(run("prune", "--yes", "--file", path)).rejects.toMatchObject({
        code: "permission-denied",
        message: expect.stringContaining("it is immutable"),
      })
      expect(filesIn()).toEqual(["dhcpd_leases"])
    } finally {
      execFileSync("chattr", ["-i", path])
    }
    expect(readFileSync(path, "utf8")).toBe(leases())
  })
  it("that is read-only stays, since somebody wants it so", async () => {
    writeFileSync(path, leases(), { mode: 0o444 })
    await expect(run("prune", "--yes", "--file", path)).rejects.toMatchObject({
      code: "permission-denied",
      message: `Cannot change "${path}": it is read-only, for everybody`,
    })
    expect(readFileSync(path, "utf8")).toBe(leases())
    expect(filesIn()).toEqual(["dhcpd_leases"])
  })
  it("that may not be read is refused by every verb", { timeout: CHILD_MS }, (context) => {
    if (!canObey()) context.skip("needs setpriv")
    writeFileSync(path, leases(), { mode: 0o200 })
    for (const words of [["ls"], ["prune", "--yes"]]) {
      expect(runObeying(...words, "--file", path)).toEqual({
        output: "",
        errors: `error: Cannot read "${path}": only root may do that (EACCES) [permission-denied]\nnext: Run it with sudo\n`,
        status: 1,
      })
    }
    expect(filesIn()).toEqual(["dhcpd_leases"])
  })
  it("in a directory that may not be written stays where sudo does not help", {
    timeout: CHILD_MS,
  }, (context) => {
    if (!canObey()) context.skip("needs setpriv")
    // Long over, by the clock of any host.
    const over = block(6, "over", -20 * 365 * 24 * HOUR)
    writeFileSync(path, over)
    writeFileSync(join(home.path, "sudo"), "#!/bin/sh\nexit 1\n", { mode: 0o755 })
    chmodSync(directory.path, 0o500)
    try {
      const { errors, status } = runObeying("prune", "--yes", "--file", path)
      expect(errors).toMatch(/is root's: replacing it.* is done by sudo, and nothing else\nerror: /)
      expect(errors).toContain(
        "error: Cannot change the lease file: sudo did not run it [permission-denied]\n",
      )
      expect(status).toBe(1)
      expect(readFileSync(path, "utf8")).toBe(over)
      expect(filesIn()).toEqual(["dhcpd_leases"])
    } finally {
      chmodSync(directory.path, 0o700)
    }
  })
  it("that is huge is not read", async () => {
    writeFileSync(path, leases())
    const size = (128 << 20) + 1
    truncateSync(path, size)
    for (const words of [["ls"], ["prune", "--yes"], ["undo", "--yes"]]) {
      await expect(run(...words, "--file", path)).rejects.toMatchObject({
        code: "unsupported",
        message: `Cannot read "${path}": it has 129 MiB, and no lease file has over 128`,
      })
    }
    expect([statSync(path).size, filesIn()]).toEqual([size, ["dhcpd_leases"]])
  })
  it("keeps flags that can be kept", async (context) => {
    writeFileSync(path, leases())
    if (spawnSync("chattr", ["+d", path]).status !== 0) context.skip("needs chattr")
    await run("prune", "--yes", "--file", path)
    expect(execFileSync("lsattr", [path], { encoding: "utf8" }).split(" ")[0]).toContain("d")
  })
})

describe("the step that needs root", () => {
  it("answers with a line of JSON", async () => {
    writeFileSync(path, leases())
    const { output, code } = await answerOf("remove-as-root", { path, format: "bootpd", keys: [] })
    expect([JSON.parse(output), code]).toEqual([{ path, keys: [], server: "not-running" }, 0])
  })
  it("is run by sudo, with what is to be done on its standard input", async () => {
    writeFileSync(path, leases())
    const sudo = join(home.path, "sudo")
    writeFileSync(
      sudo,
      '#!/bin/sh\nprintf "%s\\n" "$*" > "$0.words"\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n',
      { mode: 0o755 },
    )
    const program = [process.execPath, ...fromSource(MAIN)] as const
    const how = {
      program: [program[0], ...program.slice(1)] as [string, ...string[]],
      interactive: false,
      sudo,
      signal: AbortSignal.timeout(60_000),
    }
    expect(await runAsRoot("remove-as-root", { path, format: "bootpd", keys: [] }, how)).toMatchObject({
      path,
      keys: [],
    })
    expect(readFileSync(`${sudo}.words`, "utf8")).toBe(`-n -- ${program.join(" ")} remove-as-root\n`)
    const refused = runAsRoot("remove-as-root", { path: "x" }, how)
    await expect(refused).rejects.toMatchObject({ code: "bad-options" })
    await expect(runAsRoot("x", {}, { ...how, sudo: "false" })).rejects.toMatchObject({
      code: "permission-denied",
    })
    await expect(runAsRoot("x", {}, { ...how, sudo: "/none" })).rejects.toMatchObject({
      code: "host-program-missing",
    })
  }, 60_000)
  it("takes no path that is not absolute, and no format that is none", async () => {
    for (const input of [{ path: "x", format: "bootpd", keys: [] }, { path, format: "none", keys: [] }, 7]) {
      const { output, code } = await answerOf("remove-as-root", input)
      expect([JSON.parse(output).error.code, code]).toEqual(["bad-options", 2])
    }
  })
})

interface Outcome {
  readonly output: string
  readonly notes: string
}

async function run(...words: readonly string[]): Promise<Outcome> {
  return await runWith("", words)
}

function canObey(): boolean {
  return OBEYING === undefined || spawnSync("setpriv", [...OBEYING, "true"]).status === 0
}

/** The program, for somebody whom permissions bind. */
function runObeying(...words: readonly string[]): {
  readonly output: string
  readonly errors: string
  readonly status: number | null
} {
  const line = [process.execPath, ...fromSource(MAIN), ...words]
  const [file = "", ...args] = OBEYING === undefined ? line : ["setpriv", ...OBEYING, ...line]
  const env = { HOME: home.path, PATH: `${home.path}:/usr/sbin:/usr/bin:/sbin:/bin`, TMPDIR: tmpdir() }
  const { stdout, stderr, status } = spawnSync(file, args, { encoding: "utf8", env })
  return { output: stdout, errors: stderr, status }
}

async function answerOf(
  verb: string,
  input: unknown,
): Promise<{ readonly output: string; readonly code: number }> {
  const { output } = await runWith(JSON.stringify(input), [verb])
  const code = Number(process.exitCode ?? 0)
  process.exitCode = undefined
  return { output, code }
}

/** What was said before it was refused. */
async function runRefused(
  ...words: readonly string[]
): Promise<{ readonly outcome: Outcome; readonly error: unknown }> {
  let error: unknown
  const outcome = await runWith("", words, (refusal) => {
    error = refusal
  })
  return { outcome, error }
}

async function runWith(
  input: string,
  words: readonly string[],
  onRefused?: (error: unknown) => void,
): Promise<Outcome> {
  mkdirSync(join(home.path, ".skep/machines/dev"), { recursive: true })
  writeFileSync(
    join(home.path, ".skep/machines/dev/machine.json"),
    JSON.stringify({ name: "dev", mac: "52:54:00:00:00:07" }),
  )
  const streams = {
    input: new PassThrough(),
    output: new PassThrough(),
    errors: new PassThrough(),
    env: { HOME: home.path },
  }
  streams.input.end(input)
  const texts = [streams.output, streams.errors].map(collected)
  const command = leasesCommand("skep-leases", "0", {
    streams,
    signal: new AbortController().signal,
    program: ["false"],
    now: () => NOW,
  })
  const over = command.parseAsync([...words], { from: "user" })
  await (onRefused === undefined ? over : over.catch(onRefused))
  const [output = "", notes = ""] = texts.map((text) => text())
  return { output, notes }
}

function collected(stream: PassThrough): () => string {
  const chunks: Buffer[] = []
  stream.on("data", (chunk: Buffer) => chunks.push(chunk))
  return () => {
    for (let chunk: unknown = stream.read(); chunk instanceof Buffer; chunk = stream.read())
      chunks.push(chunk)
    return Buffer.concat(chunks).toString("utf8")
  }
}

function filesIn(): readonly string[] {
  return readdirSync(directory.path).toSorted()
}

function leases(): string {
  return block(5, "gone", 3 * HOUR) + block(6, "over", -HOUR) + block(7, "dev", HOUR)
}

function block(place: number, name: string, seconds: number): string {
  const short = `1,52:54:0:0:0:${place.toString(16)}`
  const lease = (NOW / 1000 + seconds).toString(16)
  return `{\n\tname=${name}\n\tip_address=192.168.64.${place}\n\thw_address=${short}\n\tidentifier=${short}\n\tlease=0x${lease}\n}\n`
}
