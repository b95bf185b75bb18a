// What the guest serves over vsock, under a real guest: its agent, Docker, SSH, its log, and the host's SSH agent in it.
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer, type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import {
  type AgentSession,
  GUEST_PORTS,
  HOST_PORTS,
  LOG_LINE_MAX,
  type LogRecord,
  openAgentSession,
  parseLogRecord,
} from "@skep/guest/agent"
import { Lines } from "@skep/runtime"
import { newSshKey } from "@skep/runtime/ssh-key"
import ssh2 from "ssh2"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { BARE_SECRET, prepareBare, withVsock } from "../vm/bare-qemu.ts"
import { sharedSkep } from "./skep.ts"

const MEMORY_MIB = 768
const CID = 3
const BOOT_MS = 120_000
const HOUR_MS = 3_600_000

const skep = sharedSkep()
const directory = mkdtempSync(join(tmpdir(), "ga-"))
const at = (name: string): string => join(directory, name)
const sidecarProgram = join(import.meta.dirname, "../../apps/skep/dist/programs/vsock.js")
const key = newSshKey("")
const { signal } = new AbortController()
const records: LogRecord[] = []
const agentClients: string[] = []
const told: string[] = []
const services: Server[] = []

let sidecar: ChildProcess
let qemu: ChildProcess
let session: AgentSession

/** A service of the host, at its place in HyperKit's dialect. */
function serve(port: number, onClient: (socket: Socket) => void): void {
  const service = createServer((socket) => {
    socket.on("error", () => socket.destroy())
    onClient(socket)
  })
  services.push(service.listen(join(at("v"), `00000002.${port.toString(16).padStart(8, "0")}`)))
}

function dial(port: number): Socket {
  const socket = connect(at("v/connect"))
  socket.on("error", () => socket.destroy())
  socket.write(`0000000${CID}.${port.toString(16).padStart(8, "0")}\n`)
  return socket
}

beforeAll(async () => {
  const { vm } = await skep.json(["status"])
  const argv = await prepareBare({
    directory: at("vm"),
    images: join(skep.home, "images"),
    accelerator: vm.accelerator,
    memoryMiB: MEMORY_MIB,
    bootLocal: `#!/bin/sh\necho '${key.publicKey}' > /run/skep/seed/authorized_keys\n`,
  })
  const args = ["--guest-cid", String(CID), "--socket", at("back.sock"), "--directory", at("v")]
  sidecar = spawn(process.execPath, [sidecarProgram, ...args], { stdio: ["ignore", "pipe", "inherit"] })
  if (sidecar.stdout !== null) await once(sidecar.stdout, "data") // its `ready` line
  serve(HOST_PORTS.log, (socket) => {
    const lines = new Lines(LOG_LINE_MAX)
    socket.on("data", (chunk: Buffer) => {
      const more = lines.push(chunk)
      if (more === "too-long") throw new Error("a record without end")
      records.push(...more.map(parseLogRecord).filter((record) => record !== undefined))
    })
  })
  serve(HOST_PORTS.sshAgent, (socket) => {
    let said = ""
    socket.on("data", (chunk: Buffer) => {
      said += chunk.toString()
      if (!said.endsWith("question\n")) return
      agentClients.push(said)
      socket.end("the host's agent")
    })
  })
  qemu = spawn("qemu-system-x86_64", [...withVsock(argv, MEMORY_MIB, at("back.sock"))], { stdio: "ignore" })
  session = await greeted()
})

afterAll(async () => {
  for (const child of [qemu, sidecar]) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const gone = once(child, "exit")
    child.kill("SIGKILL")
    await gone
  }
  for (const service of services) service.close()
  rmSync(directory, { recursive: true, force: true })
})

/** The guest takes a moment until it listens. */
async function greeted(): Promise<AgentSession> {
  const end = Date.now() + BOOT_MS
  for (;;) {
    try {
      return await openAgentSession(dial(GUEST_PORTS.agent), {
        signal,
        onPhase: ({ name }) => told.push(name),
        onStopping: () => told.push("stopping"),
      })
    } catch (error) {
      if (Date.now() > end) throw error
      await delay(100)
    }
  }
}

/** Logs in over vsock; the key comes into the guest while it starts. */
async function loggedIn(): Promise<ssh2.Client> {
  const end = Date.now() + BOOT_MS
  for (;;) {
    const client = new ssh2.Client()
    try {
      await new Promise<void>((resolve, reject) => {
        client.once("ready", () => resolve())
        client.once("error", reject)
        client.connect({ sock: dial(GUEST_PORTS.ssh), username: "root", privateKey: key.privateKey })
      })
      client.on("error", () => client.destroy())
      return client
    } catch (error) {
      if (Date.now() > end) throw error
      await delay(200)
    }
  }
}

async function ran(client: ssh2.Client, command: string): Promise<{ code: number; out: string }> {
  const channel = await new Promise<ssh2.ClientChannel>((resolve, reject) =>
    client.exec(command, (error, stream) => (error === undefined ? resolve(stream) : reject(error))),
  )
  let out = ""
  channel.on("data", (chunk: Buffer) => {
    out += chunk.toString()
  })
  channel.stderr.resume()
  const [code] = (await once(channel, "close")) as [number]
  return { code, out }
}

describe("the agent", () => {
  it("pushes the phases of the boot", async () => {
    await expect.poll(() => told, { timeout: BOOT_MS }).toContain("docker")
    expect(told.toSorted()).toEqual(["disk", "docker", "init", "kernel", "network", "ssh", "vsock"])
    expect(session.failures).toEqual([])
  })

  it("tells and takes the time", async () => {
    await session.setTime(() => Date.now() - HOUR_MS, signal)
    expect((await session.time(signal)).skewMs / HOUR_MS).toBeCloseTo(-1, 1)
    await session.setTime(() => Date.now(), signal)
    expect((await session.time(signal)).skewMs / HOUR_MS).toBeCloseTo(0, 1)
  })

  it("tells the facts, all of which the host understands", async () => {
    const facts = await session.facts(signal)
    expect(facts.memory.totalBytes).toBeLessThan(MEMORY_MIB * 2 ** 20)
    expect(facts.dataDisk?.totalBytes).toBeGreaterThan(2 ** 30)
    expect(facts.memoryPressure?.some.avg10Percent).toBeGreaterThanOrEqual(0)
    expect(facts.listeners).toContainEqual({ transport: "tcp", address: "0.0.0.0", port: 22 })
    expect(facts.addresses).toContainEqual({
      interface: "lo",
      address: "::1",
      prefixLength: 128,
      scope: "host",
    })
    expect(facts.truncated).toEqual([])
    expect(session.counters).toMatchObject({ malformedFacts: 0, unasked: 0 })
  })

  it("serves many at a time", async () => {
    const sessions = await Promise.all(
      Array.from({ length: 8 }, () =>
        openAgentSession(dial(GUEST_PORTS.agent), { signal, deadlineMs: 60_000 }),
      ),
    )
    const times = await Promise.all(sessions.map((each) => each.time(signal)))
    expect(new Set(sessions.map(({ hello }) => hello.bootId))).toEqual(new Set([session.hello.bootId]))
    expect(times).toHaveLength(8)
    await Promise.all(sessions.map((each) => each[Symbol.asyncDispose]()))
  })
})

describe("port 2376", () => {
  it("DB-26: is Docker", async () => {
    const socket = dial(GUEST_PORTS.docker)
    socket.write("GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
    let said = ""
    for await (const chunk of socket) said += String(chunk)
    expect(said).toMatch(/^HTTP\/1\.1 200 OK[^]*OK$/)
  })
})

describe("port 22", () => {
  it("is SSH: exit codes, a terminal, files, and a forward to Docker's socket", async () => {
    const client = await loggedIn()
    expect(await ran(client, "echo out; exit 7")).toEqual({ code: 7, out: "out\n" })

    const shell = await new Promise<ssh2.ClientChannel>((resolve, reject) =>
      client.shell({ rows: 33, cols: 77 }, (error, stream) =>
        error === undefined ? resolve(stream) : reject(error),
      ),
    )
    let screen = ""
    shell.on("data", (chunk: Buffer) => {
      screen += chunk.toString()
    })
    shell.end("stty size\nexit\n")
    await once(shell, "close")
    expect(screen).toContain("33 77")

    const sftp = await new Promise<ssh2.SFTPWrapper>((resolve, reject) =>
      client.sftp((error, wrapper) => (error === undefined ? resolve(wrapper) : reject(error))),
    )
    const release = await new Promise((resolve, reject) =>
      sftp.readFile("/etc/os-release", (error, data) =>
        error === undefined ? resolve(String(data)) : reject(error),
      ),
    )
    expect(release).toContain("ID=skep")

    const docker = await new Promise<ssh2.ClientChannel>((resolve, reject) =>
      client.openssh_forwardOutStreamLocal("/run/docker.sock", (error, stream) =>
        error === undefined ? resolve(stream) : reject(error),
      ),
    )
    let said = ""
    docker.on("data", (chunk: Buffer) => {
      said += chunk.toString()
    })
    docker.write("GET /_ping HTTP/1.0\r\n\r\n")
    await once(docker, "end")
    expect(said).toContain("200 OK")
    client.end()
  })
})

describe("the host's services", () => {
  it("DB-26: get the log of the kernel and of syslog, once each, in order", async () => {
    const client = await loggedIn()
    await ran(client, "logger -p daemon.warn -t test 'Grüße from the guest'")
    await expect
      .poll(() => records.find(({ text }) => text.includes("Grüße")), { timeout: 60_000 })
      .toMatchObject({
        facility: 3,
        severity: 4,
        text: expect.stringContaining("test: Grüße from the guest"),
      })
    client.end()
    expect(records[0]?.text).toContain("Linux version")
    expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, index) => index))
  })

  it("get what is said to the SSH agent in the guest", async () => {
    const client = await loggedIn()
    const { out } = await ran(
      client,
      // A client that neither hangs up nor gives up: it ends because its agent does.
      "echo question | socat -t 1000 - UNIX-CONNECT:/run/host-services/ssh-auth.sock,shut-none",
    )
    expect(out).toBe("the host's agent")
    expect(agentClients).toEqual([`${BARE_SECRET}\nquestion\n`])
    expect((await ran(client, "stat -c '%a' /run/host-services /run/host-services/ssh-auth.sock")).out).toBe(
      "755\n666\n",
    )
    client.end()
  })
})

describe("poweroff", () => {
  it("is orderly, and announced", async () => {
    const gone = once(qemu, "exit")
    await session.poweroff(signal)
    expect((await session.closed).by).toBe("guest")
    expect(told.at(-1)).toBe("stopping")
    expect(await gone).toEqual([0, null])
  })
})
