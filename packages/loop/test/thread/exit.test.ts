import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { type Bundle, bundle } from "@skep/testkit/bundle"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const programs = join(import.meta.dirname, "programs")
let bundled: Bundle

beforeAll(async () => {
  bundled = await bundle(
    { exit: "programs/exit.ts", idle: "programs/idle.ts", loop: "../../src/index.ts" },
    { from: import.meta.dirname },
  )
})
afterAll(() => bundled[Symbol.dispose]())

interface End {
  readonly code: number | null
  readonly signal: string | null
  readonly out: string
  readonly err: string
}

/** Runs the bundled program to its end; `onReady` when it first says something. */
async function run(
  mode: string,
  onReady: (kill: (signal: NodeJS.Signals) => void) => void = () => undefined,
): Promise<End> {
  return ended(spawn(process.execPath, [bundled.at("exit.js"), mode]), onReady)
}

async function ended(
  child: ReturnType<typeof spawn>,
  onReady: (kill: (signal: NodeJS.Signals) => void) => void = () => undefined,
): Promise<End> {
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new Error("no pipes")
  const texts = Promise.all([text(stdout), text(stderr)])
  stdout.once("data", () => onReady((signal) => child.kill(signal)))
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null]
  const [out, err] = await texts
  return { code, signal, out, err }
}

const TYPESCRIPT = ["--conditions=source", "--import", "tsx"]

describe("a process with a loop thread ends", () => {
  it.each([
    ["process.exit", 5],
    ["uncaught exception", 1],
    ["unhandled rejection", 1],
    ["nothing left to do", 0],
    ["kept alive", 0],
    ["stop", 0],
  ])("after %s, with the loop's disposers run", async (mode, code) => {
    const end = await run(mode)
    expect(end).toMatchObject({ code, signal: null })
    expect(end.err.match(/disposed/g)).toHaveLength(1)
  })

  it("with thirteen of them", async () => {
    const end = await run("many")
    expect(end.code).toBe(5)
    expect(end.err.match(/disposed/g)).toHaveLength(13)
    expect(end.err).not.toContain("MaxListeners")
  })

  it("while one starts", async () => {
    expect(await run("during start")).toMatchObject({ code: 5, signal: null })
  })

  it.each(["SIGTERM", "SIGINT", "SIGKILL"] as const)("by %s", async (signal) => {
    expect(await run("signal", (kill) => kill(signal))).toMatchObject({ code: null, signal })
  })

  it.each(["nested terminate", "nested exit"])("with the thread in a worker: %s", async (mode) => {
    expect(await run(mode)).toMatchObject({ code: 5, signal: null })
  })

  it("run from TypeScript as well", async () => {
    const child = spawn(process.execPath, [...TYPESCRIPT, join(programs, "exit.ts"), "process.exit"])
    const end = await ended(child)
    expect(end).toMatchObject({ code: 5, signal: null })
    expect(end.err).toContain("disposed")
  })
})

describe("a child of a process with a loop thread", () => {
  it("inherits none of its descriptors", async () => {
    const { code, out, err } = await run("spawn")
    expect({ code, err }).toEqual({ code: 0, err: "disposed\n" })
    // Its own: three standard streams, what Node opens, and the directory it reads.
    const ours = out.split("\n").filter((line) => /memfd|loop-test/.test(line))
    expect(ours).toEqual([])
    const bare = spawn(process.execPath, ["--input-type=module", "-e", listing()])
    expect(kinds(out)).toEqual(kinds((await ended(bare)).out))
  })
})

/** The same listing in a process without any of this. */
function listing(): string {
  const source = readFileSync(join(programs, "exit.ts"), "utf8")
  expect(source).toContain("readdirSync as r")
  return [
    "import{spawnSync}from'node:child_process';",
    "import{readdirSync as r,readlinkSync as l}from'node:fs';",
    "const script=\"import{readdirSync as r,readlinkSync as l}from'node:fs';",
    "for(const f of r('/proc/self/fd'))try{console.log(l('/proc/self/fd/'+f))}catch{}\";",
    "console.log(spawnSync(process.execPath,['--input-type=module','-e',script],{encoding:'utf8'}).stdout)",
  ].join("")
}

function kinds(out: string): readonly string[] {
  return out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/\d+/g, "N"))
    .toSorted()
}
