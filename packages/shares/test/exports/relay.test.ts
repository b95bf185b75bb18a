// The way from a gateway's sockets to the host's server: what comes through, from which address, and what becomes of it when one side ends.
import { once } from "node:events"
import { connect, createServer, type Server, type Socket } from "node:net"
import { buffer } from "node:stream/consumers"
import { silentLog } from "@skep/runtime"
import { type PlayedRpcbind, playRpcbind, type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { addressOf } from "../../src/exports/address.ts"
import { PROGRAMS } from "../../src/exports/portmap.ts"
import { openRelay, type Relay } from "../../src/exports/relay.ts"

const FROM = addressOf("dev-00000000", "linux")
const context = { signal: new AbortController().signal, log: silentLog }

let directory: TemporaryDirectory
let rpcbind: PlayedRpcbind
let server: Server
let clients: Socket[]
let from: (string | undefined)[]
let relay: Relay

beforeEach(async () => {
  directory = await temporaryDirectory()
  rpcbind = await playRpcbind()
  clients = []
  from = []
  // Says what it heard, in a frame, once it has all of it.
  server = createServer({ allowHalfOpen: true }, (socket) => {
    clients.push(socket)
    from.push(socket.remoteAddress)
    socket.on("error", () => socket.destroy())
    let heard = ""
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString()
    })
    socket.on("end", () => socket.end(`<${heard}>`))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  relay = await openRelay(
    { socket: directory.at("nfs"), mountSocket: directory.at("mount"), from: FROM },
    context,
    { rpcbind: rpcbind.port },
  )
})
afterEach(async () => {
  await relay[Symbol.asyncDispose]()
  server.close()
  await rpcbind[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once("close", () => resolve())
  })
}

function serves(...programs: readonly number[]): void {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("it listens on no port")
  rpcbind.programs.clear()
  for (const program of [PROGRAMS.nfs, PROGRAMS.mount])
    rpcbind.programs.set(program, programs.includes(program) ? address.port : 1)
}

describe("openRelay()", () => {
  it.each([
    ["nfs", PROGRAMS.nfs],
    ["mount", PROGRAMS.mount],
  ])("leads %s to its program, whole, from the machine's own address", async (name, program) => {
    serves(program)
    const client = connect({ path: directory.at(name), allowHalfOpen: true })
    const text = "x".repeat(1 << 20)
    client.end(text)
    expect((await buffer(client)).toString()).toHaveLength(text.length + 2)
    expect(from).toEqual([FROM])
    expect(relay.counters()).toEqual({ exportsConnections: 1, exportsRefused: 0 })
  })

  it("hangs up where there is no server, and leads there when there is one", async () => {
    const refused = connect(directory.at("nfs"))
    refused.resume()
    await once(refused, "close")
    expect(relay.counters()).toEqual({ exportsConnections: 0, exportsRefused: 1 })
    serves(PROGRAMS.nfs)
    const client = connect({ path: directory.at("nfs"), allowHalfOpen: true })
    client.end("again")
    expect((await buffer(client)).toString()).toBe("<again>")
  })

  it("passes on that the server broke off, and that a client did", async () => {
    serves(PROGRAMS.nfs)
    const [one, two] = [connect(directory.at("nfs")), connect(directory.at("nfs"))]
    for (const client of [one, two]) {
      client.on("error", () => undefined)
      client.resume()
      client.write("hello")
    }
    await expect.poll(() => clients.length).toBe(2)
    const lost = clients.map(closed)
    one.destroy()
    await Promise.race(lost)
    const gone = closed(two)
    for (const client of clients) client.resetAndDestroy()
    await gone
    await Promise.all(lost)
  })

  it("hangs up on everybody when it is closed", async () => {
    serves(PROGRAMS.nfs)
    const client = connect(directory.at("nfs"))
    client.on("error", () => undefined)
    client.resume()
    client.write("hello")
    await expect.poll(() => clients.length).toBe(1)
    const gone = once(client, "close")
    await relay[Symbol.asyncDispose]()
    await gone
  })
})

describe("addressOf()", () => {
  it("is an address of the host's own, the same each time, and of each machine another", () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        const address = addressOf(name, "linux")
        expect(address).toBe(addressOf(name, "linux"))
        const [net = 0, a = 0, b = 0, c = 0, ...more] = address.split(".").map(Number)
        expect([net, more]).toEqual([127, []])
        expect(a >= 64 && a < 128 && b >= 0 && b < 256 && c >= 1 && c < 255).toBe(true)
      }),
    )
    expect(new Set(Array.from({ length: 1000 }, (_, index) => addressOf(`m${index}`, "linux"))).size).toBe(
      1000,
    )
    expect(addressOf("dev", "macos")).toBe("127.0.0.1")
  })
})
