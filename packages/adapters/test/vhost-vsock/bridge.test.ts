// The adapter's loop on sockets of any kind: whom it lets in, and what becomes of a guest that does not answer.
import { once } from "node:events"
import { readSync } from "node:fs"
import { connect, createServer, type Socket } from "node:net"
import { setImmediate as turn } from "node:timers/promises"
import { Loop } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { temporaryDirectory } from "@skep/testkit"
import { connectUnix, listenUnix } from "@skep/vhost-user"
import { describe, expect, it } from "vitest"
import { type GuestSockets, kernelSockets } from "../../src/vhost-vsock/guest-sockets.ts"
import { parseVhostVsockOptions } from "../../src/vhost-vsock/options.ts"
import { RelayBridge } from "../../src/vhost-vsock/relay-bridge.ts"

const LOOPBACK = "127.0.0.1"

/** A guest whose ports are TCP ports of loopback: connects take a while there, as they do over vsock. */
const overTcp: GuestSockets = {
  connect: (port) => {
    const fd = sys.socket(sys.AF_INET, sys.SOCK_STREAM | sys.SOCK_NONBLOCK)
    const result = sys.connect(fd, { family: "inet", address: LOOPBACK, port })
    if (result === 0 || result === -sys.EINPROGRESS) return fd
    sys.close(fd)
    return result
  },
  listen: () => -1,
  isGuest: () => true,
  hostPort: () => 77,
}

async function rig(guest: GuestSockets, options: object = {}, services: readonly number[] = []) {
  const directory = await temporaryDirectory()
  const input = { guestCid: 3, directory: directory.at("v"), udsPath: directory.at("fc"), ...options }
  const loop = new Loop()
  const bridge = new RelayBridge(loop.scope("test"), parseVhostVsockOptions(input), { guest, services })
  return {
    directory,
    bridge,
    loop,
    /** Runs the loop beside Node's until something is true; the test's own deadline ends it. */
    until: async (isTrue: () => boolean): Promise<void> => {
      while (!isTrue()) {
        loop.step()
        await turn()
      }
    },
    [Symbol.asyncDispose]: async () => {
      loop[Symbol.dispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

/** What a client hears until it is hung up on. */
function client(path: string, greeting: string): { readonly socket: Socket; heard: string; closed: boolean } {
  const socket = connect(path)
  const seen = { socket, heard: "", closed: false }
  socket.on("error", () => socket.destroy())
  socket.on("data", (chunk) => {
    seen.heard += String(chunk)
  })
  socket.on("close", () => {
    seen.closed = true
  })
  socket.write(greeting)
  return seen
}

describe("RelayBridge", () => {
  it("waits for a guest that takes its time, then answers with the host's port", async () => {
    const server = createServer((socket) => socket.end("hello")).listen(0, LOOPBACK)
    await once(server, "listening")
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    await using world = await rig(overTcp)
    const seen = client(world.directory.at("fc"), `CONNECT ${port}\n`)
    await world.until(() => seen.heard.length >= 11)
    expect(seen.heard).toBe("OK 77\nhello")
    seen.socket.destroy()
    await world.until(() => world.bridge.streams === 0)
    server.close()
  })

  it("hangs up where the guest refuses later", async () => {
    const server = createServer().listen(0, LOOPBACK)
    await once(server, "listening")
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close()
    await once(server, "close")
    await using world = await rig(overTcp)
    const seen = client(world.directory.at("fc"), `CONNECT ${port}\n`)
    await world.until(() => seen.closed)
    expect(seen.heard).toBe("")
    expect(world.bridge.counts()).toMatchObject({ "guest-refused": 1, connected: 0 })
  })

  it("hangs up where the guest does not answer in time, and closes what it dialled", async () => {
    // A full socket is not writable, like a socket that is still connecting.
    const ends = new Int32Array(2)
    sys.check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK, ends), "socketpair")
    const [dialled = -1, other = -1] = ends
    using scratch = new Scratch(1 << 16)
    const { address, length } = scratch.region("filling", 1 << 16)
    while (sys.send(dialled, address, length, sys.MSG_DONTWAIT) > 0) continue
    await using world = await rig({ ...overTcp, connect: () => dialled }, { connectMs: 1 })
    const seen = client(world.directory.at("v/connect"), "00000003.00000016\n")
    await world.until(() => seen.closed)
    expect(world.bridge.streams).toBe(0)
    const rest = Buffer.alloc(1 << 20)
    while (readSync(other, rest) > 0) continue // ends: the other end is closed
    sys.close(other)
  })

  it("lets in nobody but its guest", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("port")
    const sockets: GuestSockets = { ...overTcp, listen: () => listenUnix(path), isGuest: () => false }
    await using world = await rig(sockets, {}, [7000])
    const stranger = connectUnix(path)
    await world.until(() => world.bridge.counts()["strangers"] === 1)
    expect(readSync(stranger, Buffer.alloc(1))).toBe(0)
    sys.close(stranger)
  })
})

describe("kernelSockets()", () => {
  const probe = sys.socket(sys.AF_VSOCK, sys.SOCK_STREAM)
  if (probe >= 0) sys.close(probe)
  /** Where VMADDR_PORT_ANY is bound the kernel gives a free one. */
  const ANY_PORT = 0xffff_ffff

  it.skipIf(probe < 0)("listens on a port of the host, which nobody else can have then", () => {
    const sockets = kernelSockets(3)
    const fd = sockets.listen(ANY_PORT)
    const port = sockets.hostPort(fd)
    expect(port).toBeGreaterThan(1023)
    expect(() => sockets.listen(port)).toThrow(`EADDRINUSE, port ${port} of the host`)
    sys.close(fd)
    sys.close(sockets.listen(port))
  })

  it("takes no socket for the guest's that is of another kind", () => {
    const ends = new Int32Array(2)
    sys.check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, ends), "socketpair")
    expect([...ends].map((fd) => kernelSockets(3).isGuest(fd))).toEqual([false, false])
    for (const fd of ends) sys.close(fd)
  })
})
