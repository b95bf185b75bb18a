// Streams of the host on each driver, with sockets of this process at the other end.

import { once } from "node:events"
import { type AddressInfo, createServer, type Socket, connect as toServer } from "node:net"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { host } from "../../src/index.ts"
import { errnoOf } from "../../src/node/errno.ts"
import { type Driver, kinds } from "./driver.ts"
import { Flow, loopback, pattern } from "./flow.ts"

const MIB = 1024 * 1024
const { EAGAIN, ECONNREFUSED, ECONNRESET } = host

/** A server of one connection, which it leaves alone. */
async function server(path?: string) {
  const clients: Socket[] = []
  const listening = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    socket.on("error", () => undefined)
    clients.push(socket)
  })
  if (path === undefined) listening.listen(0, "127.0.0.1")
  else listening.listen(path)
  await once(listening, "listening")
  const address = listening.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return {
    port,
    clients,
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.destroy()
      listening.close()
      await once(listening, "close")
    },
  }
}

/** A flow and its peer, connected. */
async function pair(driver: Driver, at: Awaited<ReturnType<typeof server>>) {
  const flow = new Flow(driver)
  expect(await flow.connect(loopback(at.port))).toBe(0)
  await driver.until(() => at.clients.length === 1)
  const [peer] = at.clients
  if (peer === undefined) throw new Error("no client")
  return { flow, peer }
}

/** Reads what comes to a peer from now on. */
function collect(peer: Socket): { bytes: () => Buffer; ended: () => boolean } {
  const chunks: Buffer[] = []
  let ended = false
  peer.on("data", (chunk: Buffer) => chunks.push(chunk))
  peer.on("end", () => {
    ended = true
  })
  peer.resume()
  return { bytes: () => Buffer.concat(chunks), ended: () => ended }
}

for (const kind of kinds) {
  describe(`${kind.name}: a stream`, () => {
    it("can be peeked at again and again until it is discarded", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      expect(flow.peek(0)).toBe(-EAGAIN)
      peer.write(pattern(0, 5000))
      await driver.until(() => flow.peek(4999).valueOf() instanceof Buffer)
      expect(flow.peek(0)).toEqual(pattern(0, 5000))
      expect(flow.peek(3000)).toEqual(pattern(3000, 2000))
      expect(flow.peek(5000)).toBe(-EAGAIN)
      expect(flow.peek(0, [10, 20])).toEqual(pattern(0, 30))
      expect(flow.stream?.keptBytes).toBe(kind.keeps ? 5000 : 0)
      flow.stream?.discard(1000)
      expect(flow.stream?.keptBytes).toBe(kind.keeps ? 4000 : 0)
      expect(flow.peek(0)).toEqual(pattern(1000, 4000))
      flow.stream?.discard(4000)
      expect(flow.peek(0)).toBe(-EAGAIN)
      flow.stream?.close()
      expect(driver.memory.arena.heap.used).toBe(0)
    })

    it("tells of what comes, and of more than one peek takes", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      flow.take()
      const before = flow.readable
      peer.write("hello")
      await driver.until(() => flow.readable > before)
      expect(flow.peek(0)).toEqual(Buffer.from("hello"))
      const told = flow.readable
      peer.end("world")
      await driver.until(() => flow.readable > told && flow.peek(9).valueOf() instanceof Buffer)
      const end = await flow.takeAll()
      expect([end, Buffer.concat(flow.taken).toString()]).toEqual([0, "helloworld"])
      flow.stream?.close()
    })

    it("tells of the end after a peek that was cut short by it", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      peer.end(pattern(0, 100))
      await driver.until(() => flow.peek(0).valueOf() instanceof Buffer)
      const told = flow.readable
      await driver.until(() => {
        flow.peek(0)
        return flow.peek(100) === 0
      })
      flow.peek(0) // short, since the stream ends there
      await driver.until(() => flow.readable > told)
      expect(flow.peek(100)).toBe(0)
      flow.stream?.close()
    })

    it("has many small answers, one after the other and overlapping", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      let sent = 0
      let taken = 0
      for (let round = 0; round < 60; round++) {
        const size = 1 + (round % 3)
        peer.write(pattern(sent, size))
        sent += size
        const waits = sent - taken
        await driver.until(() => {
          const got = flow.peek(0)
          return typeof got !== "number" && got.length === waits
        })
        expect(flow.peek(0)).toEqual(pattern(taken, waits))
        expect(flow.peek(1)).toEqual(waits > 1 ? pattern(taken + 1, waits - 1) : -EAGAIN)
        // The guest acknowledges some late.
        if (round % 4 === 0) continue
        flow.stream?.discard(waits - 1)
        taken += waits - 1
        expect(flow.peek(0)).toEqual(pattern(taken, 1))
        flow.stream?.discard(1)
        taken++
        expect(flow.peek(0)).toBe(-EAGAIN)
      }
      peer.end(pattern(sent, 10))
      await driver.until(() => flow.peek(10) === 0)
      expect(flow.peek(0)).toEqual(pattern(sent, 10))
      flow.stream?.close()
    })

    it("goes on, in whatever pieces a guest acknowledges", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      const length = 4 * MIB
      peer.end(pattern(0, length))
      const pieces = [1460, 1460, 200, 15_000, 16]
      let taken = 0
      for (let round = 0; taken < length; round++) {
        let got: Buffer | number = -EAGAIN
        await driver.until(() => {
          got = flow.peek(0, [16_384, 16_384])
          return typeof got !== "number"
        })
        const there = (got as unknown as Buffer).length
        for (let done = 0; done < there; round++) {
          const piece = Math.min(pieces[round % pieces.length] ?? 1, there - done)
          flow.stream?.discard(piece)
          done += piece
        }
        taken += there
      }
      await driver.until(() => flow.peek(0) === 0)
      expect(taken).toBe(length)
      flow.stream?.close()
    })

    it("does not reset what it closes, whose last bytes the guest has", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      const errors: Error[] = []
      peer.on("error", (error) => errors.push(error))
      peer.write("bye")
      await driver.until(() => flow.peek(0).valueOf() instanceof Buffer)
      flow.stream?.discard(3)
      flow.write(pattern(0, 1000))
      flow.stream?.close()
      const got = collect(peer)
      await driver.until(() => got.ended() || errors.length > 0)
      expect(errors).toEqual([])
      expect(got.bytes()).toEqual(pattern(0, 1000))
    })

    it("hands on each half as it ends: the host's first", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      peer.end("bye")
      expect(await flow.takeAll()).toBe(0)
      const got = collect(peer)
      expect(flow.write(pattern(0, 3000))).toBe(3000)
      flow.stream?.endWrites()
      await driver.until(() => got.ended())
      expect(got.bytes()).toEqual(pattern(0, 3000))
      flow.stream?.close()
    })

    it("hands on each half as it ends: the guest's first", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      flow.write(pattern(0, 3000))
      flow.stream?.endWrites()
      const got = collect(peer)
      await driver.until(() => got.ended())
      expect(got.bytes()).toEqual(pattern(0, 3000))
      peer.end(pattern(7, 100_000))
      expect(await flow.takeAll()).toBe(0)
      expect(Buffer.concat(flow.taken)).toEqual(pattern(7, 100_000))
      flow.stream?.close()
    })

    it("holds what a guest does not read within bounds, and loses nothing of it", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      const size = 24 * MIB
      peer.end(pattern(0, size))
      // As much as there is to be had without acknowledging any of it.
      let seen = 0
      let idle = 0
      await driver.until(() => {
        const more = flow.peek(seen, [65_536])
        idle = typeof more === "number" ? idle + 1 : 0
        seen += typeof more === "number" ? 0 : more.length
        return idle > 2000
      })
      expect(peer.writableLength).toBeGreaterThan(0)
      expect(driver.memory.arena.heap.used).toBeLessThanOrEqual(kind.keeps ? 1.25 * MIB : 0)
      expect(await flow.takeAll()).toBe(0)
      expect(flow.takenBytes).toBe(size)
      expect(Buffer.concat(flow.taken).equals(pattern(0, size))).toBe(true)
      flow.stream?.close()
    })

    it("has room for what is on its way to a guest that is far", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      peer.end(pattern(0, 8 * MIB))
      let seen = 0
      const look = (): void => {
        const more = flow.peek(seen, [65_536])
        seen += typeof more === "number" ? 0 : more.length
      }
      await driver.until(() => {
        look()
        return seen > 100_000
      })
      // The guest has the first of it, and its answer is what lets the host's socket say that it has room now.
      flow.stream?.discard(65_536)
      seen -= 65_536
      await driver.until(() => {
        look()
        return seen > MIB / 2
      })
      expect(await flow.takeAll()).toBe(0)
      flow.stream?.close()
    })

    it("takes no more than a host that does not read leaves room for, and tells of more", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      const piece = pattern(0, 60_000)
      let sent = 0
      let full = 0
      await driver.until(() => {
        const written = flow.write(piece)
        if (written > 0) sent += written
        full = written === -EAGAIN ? full + 1 : 0
        return full > 2000
      })
      expect(driver.memory.arena.heap.used).toBeLessThanOrEqual(kind.name === "node" ? 0.75 * MIB : 0)
      const told = flow.writable
      const got = collect(peer)
      await driver.until(() => flow.writable > told)
      expect(flow.write(piece.subarray(0, 10))).toBe(10)
      flow.stream?.endWrites()
      await driver.until(() => got.ended())
      expect(got.bytes().length).toBe(sent + 10)
      flow.stream?.close()
    })

    it("still sends what it took when it is closed", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      const size = flow.write(pattern(0, 60_000))
      flow.stream?.close()
      const got = collect(peer)
      await driver.until(() => got.ended())
      expect(got.bytes()).toEqual(pattern(0, size))
      await driver.until(() => driver.memory.arena.heap.used === 0)
    })

    // Node has no way to say how much a socket takes.
    it.runIf(kind.name !== "node")("leaves room for others where many hosts do not read", async () => {
      using driver = kind.open()
      await using at = await server()
      const piece = pattern(0, 60_000)
      const fill = async (flow: Flow): Promise<number> => {
        let sent = 0
        let full = 0
        await driver.until(() => {
          const written = flow.write(piece)
          if (written > 0) sent += written
          full = written === -EAGAIN ? full + 1 : 0
          return full > 200
        })
        return sent
      }
      const { flow: first } = await pair(driver, at)
      const alone = await fill(first)
      const others = Array.from({ length: 130 }, () => new Flow(driver))
      for (const flow of others) expect(await flow.connect(loopback(at.port))).toBe(0)
      const last = others.at(-1)
      if (last === undefined) throw new Error("no flow")
      expect(await fill(last)).toBeLessThan(alone / 2)
      for (const flow of others) flow.stream?.close()
      const again = new Flow(driver)
      expect(await again.connect(loopback(at.port))).toBe(0)
      expect(await fill(again)).toBeGreaterThan(alone / 2)
      for (const flow of [first, again]) flow.stream?.close()
    })

    it("says that it was reset, and resets", async () => {
      using driver = kind.open()
      await using at = await server()
      const { flow, peer } = await pair(driver, at)
      peer.resetAndDestroy()
      await driver.until(() => flow.peek(0) === -ECONNRESET || flow.peek(0) === 0)
      await driver.until(() => flow.write(pattern(0, 10)) < 0)
      flow.stream?.abort()
      flow.stream?.abort()

      await using other = await server()
      const second = await pair(driver, other)
      const errors: unknown[] = []
      second.peer.on("error", (error) => errors.push("code" in error ? error.code : error))
      second.peer.resume()
      second.flow.stream?.abort()
      await driver.until(() => errors.length > 0)
      expect(errors).toEqual(["ECONNRESET"])
      expect(driver.memory.arena.heap.used).toBe(0)
    })

    it("is refused where nobody listens", async () => {
      using driver = kind.open()
      const at = await server()
      await at[Symbol.asyncDispose]()
      expect(await new Flow(driver).connect(loopback(at.port))).toBe(ECONNREFUSED)
    })

    it("goes to a Unix socket too, where there is one", async () => {
      using driver = kind.open()
      await using directory = await temporaryDirectory()
      const path = directory.at("there.sock")
      await using at = await server(path)
      const flow = new Flow(driver)
      expect(await flow.connect({ path })).toBe(0)
      await driver.until(() => at.clients.length === 1)
      const got = collect(at.clients[0] ?? expect.fail())
      flow.write(pattern(0, 100))
      await driver.until(() => got.bytes().length === 100)
      at.clients[0]?.end("yes")
      expect(await flow.takeAll()).toBe(0)
      expect(Buffer.concat(flow.taken).toString()).toBe("yes")
      flow.stream?.abort()
      expect(await new Flow(driver).connect({ path: directory.at("nowhere") })).toBe(2)
    })

    it("leaves others their share when many are not read", async () => {
      using driver = kind.open()
      await using at = await server()
      const flows = Array.from({ length: 24 }, () => new Flow(driver))
      for (const flow of flows) expect(await flow.connect(loopback(at.port))).toBe(0)
      await driver.until(() => at.clients.length === flows.length)
      for (const client of at.clients) client.write(pattern(0, 4 * MIB))
      const seen = flows.map(() => 0)
      let idle = 0
      await driver.until(() => {
        idle++
        for (const [index, flow] of flows.entries()) {
          const more = flow.peek(seen[index] ?? 0, [65_536])
          if (typeof more === "number") continue
          seen[index] = (seen[index] ?? 0) + more.length
          idle = 0
        }
        return idle > 1000
      })
      const { used, length } = driver.memory.arena.heap
      expect(used).toBeLessThan(length)
      // One more has what it needs.
      const last = new Flow(driver)
      await last.connect(loopback(at.port))
      await driver.until(() => at.clients.length === flows.length + 1)
      at.clients.at(-1)?.end(pattern(3, 2 * MIB))
      expect(await last.takeAll()).toBe(0)
      expect(Buffer.concat(last.taken).equals(pattern(3, 2 * MIB))).toBe(true)
      for (const flow of [...flows, last]) flow.stream?.abort()
      expect(driver.memory.arena.heap.used).toBe(0)
    })
  })

  describe(`${kind.name}: a TCP listener`, () => {
    it("hands over clients, whose streams stand", async () => {
      using driver = kind.open()
      const { port, listener, clients } = await listen(driver)
      const client = toServer({ port, host: "127.0.0.1", allowHalfOpen: true })
      client.write("from the client")
      await driver.until(() => clients.length === 1)
      const flow = new Flow(driver)
      flow.stream = clients[0]?.serve(flow)
      expect(flow.stream?.connected).toBe(true)
      await driver.until(() => flow.take() === -EAGAIN && flow.takenBytes > 0)
      expect(Buffer.concat(flow.taken).toString()).toBe("from the client")
      const got = collect(client)
      flow.write(pattern(0, 1000))
      flow.stream?.close()
      await driver.until(() => got.ended())
      expect(got.bytes()).toEqual(pattern(0, 1000))
      client.destroy()
      listener[Symbol.dispose]()
    })

    it("lets clients go that nobody serves, and those that have gone themselves", async () => {
      using driver = kind.open()
      const { port, listener, clients } = await listen(driver)
      const client = toServer({ port, host: "127.0.0.1" })
      await driver.until(() => clients.length === 1)
      let closed = false
      client.on("close", () => {
        closed = true
      })
      client.on("error", () => undefined)
      clients[0]?.close()
      client.resume()
      await driver.until(() => closed)
      const hasty = toServer({ port, host: "127.0.0.1" })
      await driver.until(() => clients.length === 2)
      hasty.resetAndDestroy()
      const flow = new Flow(driver)
      flow.stream = clients[1]?.serve(flow)
      await driver.until(() => flow.take() !== -EAGAIN)
      flow.stream?.abort()
      listener[Symbol.dispose]()
      const late = toServer({ port, host: "127.0.0.1" })
      const refused: Error[] = []
      late.on("error", (error) => refused.push(error))
      await driver.until(() => refused.length > 0)
      expect(refused.map(errnoOf)).toEqual([ECONNREFUSED])
    })

    it("says that its port is taken", async () => {
      using driver = kind.open()
      await using at = await server()
      const listener = driver.listeners.tcp(loopback(at.port), () => undefined)
      const said = typeof listener === "number" ? listener : await listener.opening
      expect(said).toBe(-98)
      if (typeof listener !== "number") listener[Symbol.dispose]()
    })
  })
}

async function listen(driver: Driver) {
  const free = createServer().listen(0, "127.0.0.1")
  await once(free, "listening")
  const { port } = free.address() as AddressInfo
  free.close()
  await once(free, "close")
  const clients: host.Client[] = []
  const listener = driver.listeners.tcp(loopback(port), (client) => clients.push(client))
  if (typeof listener === "number") throw new Error(`no listener: ${listener}`)
  expect((await listener.opening) ?? 0).toBe(0)
  return { port, listener, clients }
}

describe("node: errors", () => {
  it("have Linux's numbers, whatever the system's are", () => {
    const codes = ["ECONNREFUSED", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ETIMEDOUT", "EACCES", "EWHAT"]
    const numbers = codes.map((code) => errnoOf(Object.assign(new Error(code), { code, errno: -61 })))
    expect(numbers).toEqual([111, 113, 113, 101, 110, 13, 104])
    expect(errnoOf("no error")).toBe(104)
    expect([host.errorName(98), host.errorName(113), host.errorName(4000)]).toEqual([
      "EADDRINUSE",
      "EHOSTUNREACH",
      "errno 4000",
    ])
  })
})
