// NFS as others speak it: libnfs's programs are the clients, and tshark reads along.

import { spawnSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fromSource, type Program, startProgram, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { missing } from "./requirements.ts"

const reason = missing("NFS", "nfs-ls", "nfs-cp", "nfs-cat", "tshark")
const MIB = 1024 * 1024

interface Served extends AsyncDisposable {
  readonly port: number
  readonly program: Program
}

async function serve(directory: string, port = 0): Promise<Served> {
  const words = fromSource(import.meta.dirname, "nfs-program.ts")
  const program = startProgram(process.execPath, [...words, String(port), directory])
  const line: unknown = JSON.parse(await program.line((text) => text.startsWith("{")))
  const [found] = Object.values(line as Record<string, number>)
  return { port: found ?? 0, program, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() }
}

function url({ port }: Served, path: string): string {
  return `nfs://127.0.0.1${path}?nfsport=${port}&mountport=${port}&version=3`
}

function run(program: string, ...args: readonly string[]): Buffer {
  const { status, stdout, stderr } = spawnSync(program, args, { maxBuffer: 64 * MIB, timeout: 60_000 })
  if (status !== 0)
    throw new Error(`${program} ${args.join(" ")}: ${status ?? "killed"} ${stderr.toString()}`)
  return stdout
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}

describe.skipIf(reason !== undefined)("libnfs", () => {
  it("copies files in and out, and lists them", async () => {
    await using temporary = await temporaryDirectory()
    const shared = temporary.at("shared")
    mkdirSync(join(shared, "sub"), { recursive: true })
    await using server = await serve(shared)
    const local = temporary.at("local")
    const content = randomBytes(20 * MIB + 4321)
    writeFileSync(local, content)
    run("nfs-cp", local, url(server, "/files/sub/copy"))
    expect(digest(readFileSync(join(shared, "sub/copy")))).toBe(digest(content))
    expect(digest(run("nfs-cat", url(server, "/files/sub/copy")))).toBe(digest(content))
    expect(digest(run("nfs-cat", url(server, "/read-only/sub/copy")))).toBe(digest(content))
    expect(run("nfs-ls", "-R", url(server, "/files")).toString()).toMatch(
      new RegExp(`${content.length} .*copy`, "u"),
    )
    expect(() => run("nfs-cp", local, url(server, "/read-only/other"))).toThrow("ROFS")
    expect(readdirSync(shared)).toEqual(["sub"])
  })

  it("finds its files again when the server was killed", async () => {
    await using temporary = await temporaryDirectory()
    const shared = temporary.at("shared")
    mkdirSync(shared)
    const local = temporary.at("local")
    writeFileSync(local, randomBytes(64 * MIB))
    let port = 0
    let copying: Program | undefined
    {
      await using first = await serve(shared)
      port = first.port
      copying = startProgram("nfs-cp", [local, url(first, "/files/copy")])
      // In the midst of it: a file that was just made cannot be made again, whoever asks.
      while ((statSync(join(shared, "copy"), { throwIfNoEntry: false })?.size ?? 0) === 0)
        await new Promise((resolve) => setImmediate(resolve))
      first.program.child.kill("SIGKILL")
    }
    await using second = await serve(shared, port)
    // libnfs connects again by itself, and goes on with the handles it has.
    await copying.line((text) => text.startsWith("copied"))
    await copying[Symbol.asyncDispose]()
    expect(digest(readFileSync(join(shared, "copy")))).toBe(digest(readFileSync(local)))
    expect(digest(run("nfs-cat", url(second, "/files/copy")))).toBe(digest(readFileSync(local)))
  })

  it("and the server say nothing that tshark does not understand", async () => {
    await using temporary = await temporaryDirectory()
    const shared = temporary.at("shared")
    mkdirSync(shared)
    for (let index = 0; index < 50; index++) writeFileSync(join(shared, `file-${index}`), `content ${index}`)
    await using server = await serve(shared)
    const capture = temporary.at("capture.pcapng")
    const filter = `tcp port ${server.port}`
    const tshark = startProgram("tshark", ["-q", "-i", "lo", "-f", filter, "-w", capture])
    await tshark.line((text) => text.includes("Capturing on"))
    const decode = ["-r", capture, "-d", `tcp.port==${server.port},rpc`]
    const lines = (text: Buffer) => text.toString().split("\n").length - 1
    const count = (what: string) => lines(run("tshark", ...decode, "-Y", what))
    const readCalls = "nfs.procedure_v3 == 17 && rpc.msgtyp == 1"
    // While it captures, the end of the file may be half a packet, of which tshark complains.
    const captured = () => lines(spawnSync("tshark", [...decode, "-Y", readCalls]).stdout)
    const local = temporary.at("local")
    writeFileSync(local, randomBytes(300_000))
    // Until its kernel part is there, what goes by is not captured.
    for (let tries = 0; tries < 20; tries++) {
      run("nfs-ls", "-R", url(server, "/files"))
      run("nfs-cp", local, url(server, `/files/copy-${tries}`))
      run("nfs-cat", url(server, `/files/copy-${tries}`))
      if (tries > 1 && captured() > 1) break
    }
    tshark.child.kill("SIGINT")
    await tshark[Symbol.asyncDispose]()
    expect(count("_ws.malformed")).toBe(0)
    expect(count(readCalls)).toBeGreaterThan(1)
    expect(count("rpc.msgtyp == 1 && (rpc.state_accept > 0 || rpc.replystat > 0)")).toBe(0)
  })
})
