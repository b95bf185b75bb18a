import { statSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import type { From } from "../../src/dns/resolver.ts"
import { Resolver } from "../../src/dns/resolver.ts"
import { type DnsServerLimits, startDnsServer } from "../../src/dns/server.ts"
import { framed, Messages } from "../../src/dns/stream.ts"
import { addressesOf, OWN, query, read } from "./rig.ts"

const EMPTY = { byName: new Map<string, string[]>(), byAddress: new Map<string, string>() }

interface Client extends Disposable {
  readonly socket: Socket
  /** The next message, or undefined at the end of the stream. */
  next(): Promise<Uint8Array | undefined>
}

/** A connection of a machine's, whoever leads it there. */
function client(path: string, machine = "web"): Client {
  const socket = connect({ path, allowHalfOpen: true })
  socket.write(framed(Buffer.from(machine)))
  const messages = new Messages(0xffff)
  const read: Uint8Array[] = []
  const wanted: ((message: Uint8Array | undefined) => void)[] = []
  let over = false
  const turn = (): void => {
    while (wanted.length > 0 && (read.length > 0 || over)) wanted.shift()?.(read.shift())
  }
  const end = (): void => {
    over = true
    turn()
  }
  socket.on("error", end)
  socket.on("end", end)
  socket.on("close", end)
  socket.on("data", (chunk) => {
    const whole = messages.read(chunk)
    if (whole !== "oversize") read.push(...whole)
    turn()
  })
  return {
    socket,
    next: () =>
      new Promise((resolve) => {
        wanted.push(resolve)
        turn()
      }),
    [Symbol.dispose]: () => socket.destroy(),
  }
}

interface Rig extends AsyncDisposable {
  readonly path: string
  readonly from: From[]
}

async function rig(
  limits: Partial<DnsServerLimits> = {},
  answer?: (query: Uint8Array, from: From) => Promise<Uint8Array | undefined>,
): Promise<Rig> {
  const directory = await temporaryDirectory()
  const resolver = new Resolver({ own: () => OWN, hosts: () => EMPTY })
  const from: From[] = []
  const path = directory.at("dns.sock")
  const server = await startDnsServer({
    path,
    clock: () => 42,
    limits,
    resolver: {
      answer: (bytes, of) => {
        from.push(of)
        return answer === undefined ? resolver.answer(bytes, of) : answer(bytes, of)
      },
    },
  })
  return {
    path,
    from,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      expect(await directory.list()).not.toContain("dns.sock")
      await directory[Symbol.asyncDispose]()
    },
  }
}

describe("the TCP side", () => {
  it("answers many queries of one connection, however they are cut", async () => {
    await using here = await rig()
    using one = client(here.path)
    const stream = Buffer.concat(
      [query("web.skep.internal", "A", { id: 1 }), query("db.skep.internal", "A", { id: 2 })].map(framed),
    )
    for (const byte of stream) one.socket.write(Uint8Array.of(byte))
    const answers = [await one.next(), await one.next()]
    expect(answers.map((answer) => read(answer).id)).toEqual([1, 2])
    expect(answers.flatMap(addressesOf).toSorted()).toEqual(["192.168.64.2", "192.168.64.3"])
    expect(here.from).toEqual(Array(2).fill({ transport: "tcp", now: 42, machine: "web" }))
  })

  it("knows whose each connection is, whatever comes in it later", async () => {
    await using here = await rig()
    using web = client(here.path)
    using db = client(here.path, "db")
    for (const each of [web, db]) {
      each.socket.write(framed(Buffer.from("other")))
      each.socket.write(framed(query("web.skep.internal")))
      expect(addressesOf(await each.next())).toEqual(["192.168.64.2"])
    }
    expect(here.from.map(({ machine }) => machine)).toEqual(["web", "web", "db", "db"])
  })

  it("answers what was asked before the machine ended its side, then ends its own", async () => {
    await using here = await rig()
    using one = client(here.path)
    one.socket.end(framed(query("web.skep.internal")))
    expect(addressesOf(await one.next())).toEqual(["192.168.64.2"])
    expect(await one.next()).toBeUndefined()
  })

  it("ends its own side only when all that waits was answered", async () => {
    const release: (() => void)[] = []
    await using here = await rig({}, (bytes) => new Promise((resolve) => release.push(() => resolve(bytes))))
    using one = client(here.path)
    one.socket.end(framed(query("a", "A", { id: 9 })))
    await until(() => release.length > 0)
    using other = client(here.path)
    other.socket.end() // its end comes after that of the first
    expect(await other.next()).toBeUndefined()
    release[0]?.()
    expect(read(await one.next()).id).toBe(9)
    expect(await one.next()).toBeUndefined()
  })

  it("lets nobody else in", async () => {
    await using here = await rig()
    expect(statSync(here.path).mode & 0o777).toBe(0o600)
  })

  it("hangs up on a length that no query has", async () => {
    await using here = await rig()
    using one = client(here.path)
    one.socket.write(Uint8Array.of(0xff, 0xff))
    expect(await one.next()).toBeUndefined()
    expect(here.from).toEqual([])
  })

  it("hangs up on who says nothing", async () => {
    await using here = await rig({ idleMs: 30 })
    using one = client(here.path)
    one.socket.write(Uint8Array.of(0))
    expect(await one.next()).toBeUndefined()
  })

  it("reads no further while as many queries wait as may", async () => {
    const waiting: (() => void)[] = []
    await using here = await rig(
      { pipelined: 2 },
      (bytes) => new Promise((resolve) => waiting.push(() => resolve(bytes))),
    )
    using one = client(here.path)
    one.socket.write(Buffer.concat([1, 2, 3, 4, 5].map((id) => framed(query("a", "A", { id })))))
    const seen: (number | undefined)[] = []
    for (let turn = 0; turn < 5; turn++) {
      await until(() => waiting.length > 0)
      expect(here.from.length - seen.length).toBeLessThanOrEqual(2)
      waiting.shift()?.()
      seen.push(read(await one.next()).id)
    }
    expect(seen).toEqual([1, 2, 3, 4, 5])
  })

  it("hangs up on a machine that asks and never reads, having looked at few of its queries", async () => {
    const large = new Uint8Array(60_000)
    await using here = await rig({ idleMs: 200 }, () => Promise.resolve(large))
    using one = client(here.path)
    one.socket.pause()
    const closed = new Promise((resolve) => one.socket.once("close", resolve))
    // More than the sockets hold between them: a socket that does not read hears by its writes alone that the other side is gone.
    one.socket.write(Buffer.concat(Array.from({ length: 2500 }, () => framed(new Uint8Array(4096)))))
    await closed
    expect(here.from.length).toBeLessThan(500)
  })

  it("takes so many connections and no more", async () => {
    await using here = await rig({ connections: 2 })
    const clients = [client(here.path), client(here.path)]
    for (const each of clients) {
      each.socket.write(framed(query("web.skep.internal")))
      expect(addressesOf(await each.next())).toEqual(["192.168.64.2"])
    }
    using third = client(here.path)
    third.socket.write(framed(query("web.skep.internal")))
    expect(await third.next()).toBeUndefined()
    for (const each of clients) each[Symbol.dispose]()
  })

  it("stops with queries under way", async () => {
    const release: (() => void)[] = []
    const here = await rig({}, (bytes) => new Promise((resolve) => release.push(() => resolve(bytes))))
    using one = client(here.path)
    one.socket.write(framed(query("a")))
    await until(() => release.length > 0)
    await here[Symbol.asyncDispose]()
    release[0]?.()
    expect(await one.next()).toBeUndefined()
  })
})

/** Turns of the event loop until it is so; the test's own time limit bounds them. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
