// The vsock device under a real guest: each dialect, both ways, and a back end that is killed while the guest runs.
import { type ChildProcess, spawn } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { type LoopThread, startLoop } from "@skep/loop"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { KeeperCalls } from "../../packages/vsock/test/process/keeper-thread.ts"
import { prepareBare, withVsock } from "../vm/bare-qemu.ts"
import { sharedSkep } from "./skep.ts"

const MEMORY_MIB = 512
const CID = 3
const BOOT_MS = 120_000
const ECHO_PORT = 5000
const HELLO_PORT = 7000
/** A service that never says anything, and the one that the guest tells when it is over. */
const SILENT_PORT = 7001
const OVER_PORT = 7002
/** The guest's own socat and kernel, nothing of ours. */
const BOOT_LOCAL = `#!/bin/sh
modprobe vmw_vsock_virtio_transport
socat VSOCK-LISTEN:${ECHO_PORT},fork,reuseaddr,backlog=128 EXEC:cat &
while ! echo hello from the guest | socat - VSOCK-CONNECT:2:${HELLO_PORT}; do sleep 1; done &
while sleep 1; do socat -u VSOCK-CONNECT:2:${SILENT_PORT} OPEN:/dev/null && echo over | socat - VSOCK-CONNECT:2:${OVER_PORT}; done &
`

const skep = sharedSkep()
const directory = mkdtempSync(join(tmpdir(), "vs-"))
const at = (name: string): string => join(directory, name)
const sidecarProgram = join(import.meta.dirname, "../../apps/skep/dist/programs/vsock.js")
const greetings: string[] = []
/** What became of the guest's stream on which nobody says anything: "open", "cut", "over\n" as the guest sees it. */
const idle: string[] = []
const service = createServer((socket) => {
  socket.on("data", (chunk: Buffer) => greetings.push(chunk.toString()))
  socket.on("error", () => socket.destroy())
})
const silent = createServer((socket) => {
  idle.push("open")
  socket.on("error", () => socket.destroy())
  socket.on("close", () => idle.push("cut"))
})
const over = createServer((socket) => {
  socket.on("error", () => socket.destroy())
  socket.on("data", (chunk: Buffer) => idle.push(chunk.toString()))
})

let sidecar: ChildProcess
let qemu: ChildProcess
let keeper: LoopThread<KeeperCalls>

/** Starts the sidecar; resolves when it is ready. */
async function startSidecar(): Promise<ChildProcess> {
  const args = ["--guest-cid", String(CID), "--socket", at("back.sock"), "--directory", at("v")]
  const more = ["--uds-path", at("fc.sock"), "--control", at("control.sock")]
  const child = spawn(process.execPath, [sidecarProgram, ...args, ...more], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  await once(child.stdout, "data") // its `ready` line
  return child
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, "exit")
  child.kill(signal)
  await gone
}

beforeAll(async () => {
  const { vm } = await skep.json(["status"])
  const argv = await prepareBare({
    directory: at("vm"),
    images: join(skep.home, "images"),
    accelerator: vm.accelerator,
    memoryMiB: MEMORY_MIB,
    bootLocal: BOOT_LOCAL,
  })
  sidecar = await startSidecar()
  service.listen(join(at("v"), "00000002.00001b58"))
  silent.listen(join(at("v"), "00000002.00001b59"))
  over.listen(join(at("v"), "00000002.00001b5a"))
  keeper = await startLoop<KeeperCalls>(
    new URL("../../packages/vsock/test/process/keeper-thread.ts", import.meta.url),
    {
      data: { front: at("front.sock"), back: at("back.sock") },
    },
  )
  qemu = spawn("qemu-system-x86_64", [...withVsock(argv, MEMORY_MIB, at("front.sock"))], { stdio: "ignore" })
  const end = Date.now() + BOOT_MS
  while ((await echoed("ready")) !== "ready") {
    if (Date.now() > end) throw new Error("the guest does not answer over vsock")
    await delay(100)
  }
})

afterAll(async () => {
  await ended(qemu, "SIGKILL")
  await keeper.stop()
  await ended(sidecar, "SIGTERM")
  for (const server of [service, silent, over]) server.close()
  rmSync(directory, { recursive: true, force: true })
})

/** A client of HyperKit's dialect. */
function dial(port: number): Socket {
  const socket = connect(at("v/connect"))
  socket.on("error", () => socket.destroy())
  socket.write(`0000000${CID}.${port.toString(16).padStart(8, "0")}\n`)
  return socket
}

/** What the guest's echo says of a text, or "" if the stream ends before. */
async function echoed(text: string, socket: Socket = dial(ECHO_PORT)): Promise<string> {
  let said = ""
  socket.write(text)
  try {
    for await (const chunk of socket) {
      said += String(chunk)
      if (said.length >= text.length) break
    }
  } catch {
    return ""
  }
  socket.destroy()
  return said
}

describe("a host client reaches a port of the guest", () => {
  it("XH-22: in HyperKit's dialect", async () => {
    expect(await echoed("through HyperKit")).toBe("through HyperKit")
  })

  it("in Firecracker's dialect, which answers", async () => {
    const socket = connect(at("fc.sock"))
    socket.write(`CONNECT ${ECHO_PORT}\n`)
    const [line] = (await once(socket, "data")) as [Buffer]
    expect(line.toString()).toMatch(/^OK \d+\n$/)
    expect(await echoed("through Firecracker", socket)).toBe("through Firecracker")
  })

  it("is hung up on where the guest refuses, and where the greeting is none", async () => {
    expect(await echoed("x", dial(6))).toBe("")
    const stranger = connect(at("v/connect"))
    stranger.on("error", () => stranger.destroy())
    stranger.write("GET / HTTP/1.1\r\n\r\n")
    await new Promise((resolve) => stranger.once("close", resolve))
  })

  it("moves much, both ways at once, unchanged", async () => {
    const data = randomBytes(8 << 20)
    const hash = createHash("sha256")
    const socket = dial(ECHO_PORT)
    socket.end(data)
    let bytes = 0
    for await (const chunk of socket) {
      hash.update(chunk as Buffer)
      bytes += (chunk as Buffer).length
    }
    expect(bytes).toBe(data.length)
    expect(hash.digest("hex")).toBe(createHash("sha256").update(data).digest("hex"))
  })

  it("is one of many at a time", async () => {
    const texts = Array.from({ length: 20 }, (_, i) => `client ${i}`)
    expect(await Promise.all(texts.map((text) => echoed(text)))).toEqual(texts)
  })
})

describe("the guest", () => {
  it("reaches a service of the host", async () => {
    await expect.poll(() => greetings.join(""), { timeout: 30_000 }).toBe("hello from the guest\n")
  })
})

describe("a killed back end", () => {
  it("ends its streams, idle ones too, and the next one serves the same guest without its help", async () => {
    for (let round = 1; round <= 3; round++) {
      await expect.poll(() => idle.at(-1), { timeout: 20_000 }).toBe("open")
      idle.length = 0
      const open = dial(ECHO_PORT)
      expect(await new Promise((resolve) => open.once("data", resolve).write("?"))).toBeDefined()
      const cut = once(open, "close")
      await ended(sidecar, "SIGKILL")
      await cut
      sidecar = await startSidecar()
      await expect.poll(() => echoed("again"), { timeout: 20_000 }).toBe("again")
      const { state, counters } = await keeper.call("status", undefined)
      expect(state).toBe("relaying")
      // The guest only waits to read there: it is told, or it would wait for ever.
      await expect.poll(() => idle.slice(0, 2), { timeout: 20_000 }).toEqual(["cut", "over\n"])
      expect(counters.replays).toBeGreaterThanOrEqual(round)
    }
  })
})

describe("the sidecar", () => {
  it("leaves no socket behind when it stops, and the guest hears the end of its streams", async () => {
    const open = dial(ECHO_PORT)
    expect(await new Promise((resolve) => open.once("data", resolve).write("?"))).toBeDefined()
    const cut = once(open, "close")
    await ended(sidecar, "SIGTERM")
    await cut
    const paths = ["back.sock", "v/connect", "fc.sock", "control.sock"].map(at)
    expect(paths.filter((path) => existsSync(path))).toEqual([])
  })
})
