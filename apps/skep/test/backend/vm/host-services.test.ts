import { once } from "node:events"
import { mkdirSync, readFileSync, readlinkSync, symlinkSync } from "node:fs"
import { connect, createServer, type Server, type Socket } from "node:net"
import { silentLog } from "@skep/runtime"
import { leftoversOf, type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { type SharedAgent, serveGuest } from "../../../src/backend/vm/host-services.ts"
import { shareSshAgent } from "../../../src/client/ssh-agent.ts"
import { type Home, homeFrom, machinePaths } from "../../../src/home/paths.ts"

const SECRET = "ab".repeat(32)
const LOG = "00000002.00000202"
const AGENT = "00000002.00000402"

function place(directory: TemporaryDirectory) {
  const home = homeFrom({ SKEP_HOME: directory.path, SKEP_RUN: directory.at("r") })
  const paths = machinePaths(home, "box")
  for (const path of [home.run, paths.run, paths.directory]) mkdirSync(path, { recursive: true, mode: 0o700 })
  return { home, paths }
}

function agentOf({ sshAgent }: Home): SharedAgent {
  return { isShared: async () => true, path: sshAgent, secret: SECRET }
}

/** Somebody in the guest who connects to a port of the host. */
function guest(directory: string, name: string): Socket {
  const socket = connect({ path: `${directory}/${name}`, allowHalfOpen: true })
  socket.on("error", () => socket.destroy())
  return socket
}

/** All that comes until the other side ends it; the socket stays open the other way. */
async function said(socket: Socket): Promise<string> {
  let text = ""
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString()
  })
  await new Promise((resolve) => socket.once("end", resolve).once("close", resolve))
  return text
}

async function agentAt(path: string, name: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    client.on("error", () => client.destroy())
    void said(client).then((heard) => client.end(`${name} heard ${heard}`))
  })
  server.listen(path)
  await once(server, "listening")
  return server
}

describe("the host's services", () => {
  it("DB-26: keep what the guest logs, from one connection after the other", async () => {
    await using directory = await temporaryDirectory()
    const { home, paths } = place(directory)
    await using _services = await serveGuest({ paths, sshAgent: agentOf(home), log: silentLog })
    for (const line of ["first\n", "second\n"]) {
      const socket = guest(paths.vsockDirectory, LOG)
      socket.end(line)
      await said(socket)
    }
    expect(readFileSync(paths.guestLog, "utf8")).toBe("first\nsecond\n")
  })

  it("lead to the SSH agent that the link names at that moment, both ways", async () => {
    await using directory = await temporaryDirectory()
    const { home, paths } = place(directory)
    await using _services = await serveGuest({
      paths,
      sshAgent: agentOf(home),
      log: silentLog,
    })
    for (const name of ["one", "two"]) {
      const server = await agentAt(directory.at(name), name)
      await shareSshAgent(home, { SSH_AUTH_SOCK: directory.at(name) })
      const socket = guest(paths.vsockDirectory, AGENT)
      socket.end(`${SECRET}\na question`)
      expect(await said(socket)).toBe(`${name} heard a question`)
      server.close()
    }
  })

  it("hang up where there is no agent", async () => {
    await using directory = await temporaryDirectory()
    const { home, paths } = place(directory)
    await using _services = await serveGuest({
      paths,
      sshAgent: agentOf(home),
      log: silentLog,
    })
    const socket = guest(paths.vsockDirectory, AGENT)
    socket.write(`${SECRET}\n`)
    expect(await said(socket)).toBe("")
    socket.destroy()
  })

  it("lead nobody to the agent who does not know the machine's secret", async () => {
    await using directory = await temporaryDirectory()
    const { home, paths } = place(directory)
    const server = await agentAt(directory.at("agent"), "the agent")
    await shareSshAgent(home, { SSH_AUTH_SOCK: directory.at("agent") })
    const sshAgent = agentOf(home)
    await using _services = await serveGuest({ paths, sshAgent, log: silentLog })
    for (const first of ["", "\n", "a question", `${SECRET}x\n`, `${SECRET.slice(1)}\n`, `x${SECRET}\n`]) {
      const socket = guest(paths.vsockDirectory, AGENT)
      socket.end(first)
      expect({ first, said: await said(socket) }).toEqual({ first, said: "" })
      socket.destroy()
    }
    server.close()
  })

  it("lead to the agent while the setting says so", async () => {
    await using directory = await temporaryDirectory()
    const { home, paths } = place(directory)
    const server = await agentAt(directory.at("agent"), "the agent")
    await shareSshAgent(home, { SSH_AUTH_SOCK: directory.at("agent") })
    let on = false
    const sshAgent = { ...agentOf(home), isShared: async () => on }
    await using _services = await serveGuest({ paths, sshAgent, log: silentLog })
    for (const [setting, answer] of [
      [false, ""],
      [true, "the agent heard a question"],
      [false, ""],
    ] as const) {
      on = setting
      const socket = guest(paths.vsockDirectory, AGENT)
      socket.end(`${SECRET}\na question`)
      expect(await said(socket)).toBe(answer)
      socket.destroy()
    }
    server.close()
  })

  it("end with their clients, and leave nothing but the log", async () => {
    await using directory = await temporaryDirectory()
    const { home, paths } = place(directory)
    const services = await serveGuest({
      paths,
      sshAgent: agentOf(home),
      log: silentLog,
    })
    const socket = guest(paths.vsockDirectory, LOG)
    socket.write("a line\n")
    await once(socket, "connect")
    const ended = said(socket)
    await services[Symbol.asyncDispose]()
    await ended
    socket.destroy()
    expect((await leftoversOf(paths.vsockDirectory)).filter((line) => !line.endsWith(".lock"))).toEqual([])
  })
})

describe("shareSshAgent()", () => {
  it("leaves the link alone where the command knows no agent, and mends one that leads nowhere", async () => {
    await using directory = await temporaryDirectory()
    const { home } = place(directory)
    symlinkSync(directory.at("gone"), home.sshAgent)
    await shareSshAgent(home, {})
    await shareSshAgent(home, { SSH_AUTH_SOCK: "relative" })
    expect(readlinkSync(home.sshAgent)).toBe(directory.at("gone"))
    await shareSshAgent(home, { SSH_AUTH_SOCK: directory.at("new") })
    expect(readlinkSync(home.sshAgent)).toBe(directory.at("new"))
  })

  it("is silent where there is no run directory yet", async () => {
    await using directory = await temporaryDirectory()
    const home = homeFrom({ SKEP_HOME: directory.path, SKEP_RUN: directory.at("nowhere") })
    await shareSshAgent(home, { SSH_AUTH_SOCK: directory.at("new") })
  })
})
