// Datagrams of the host on each driver, and its clock.

import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { Parts } from "@skep/link"
import { available } from "@skep/loop"
import { describe, expect, it } from "vitest"
import { host } from "../../src/index.ts"
import { type Driver, kinds } from "./driver.ts"
import { loopback } from "./flow.ts"

const { EACCES, EAGAIN, ECONNREFUSED } = host
const ROOM = 65_536

function pieces(driver: Driver, text: string): Parts {
  const { memory } = driver
  const bytes = Buffer.from(text)
  const parts = new Parts()
  memory.bytes.set(bytes, memory.arena.scratch)
  const half = Math.floor(bytes.length / 2)
  parts.push(memory.base + memory.arena.scratch, half)
  parts.push(memory.base + memory.arena.scratch + half, bytes.length - half)
  return parts
}

/** Each text in a piece of its own. */
function each(driver: Driver, texts: readonly string[]): Parts {
  const { memory } = driver
  const parts = new Parts()
  let at = memory.arena.scratch
  for (const text of texts) {
    memory.bytes.set(Buffer.from(text), at)
    parts.push(memory.base + at, text.length)
    at += text.length
  }
  return parts
}

/** Of many lengths: runs of one, ends of runs, none, and more than goes by one call. */
const MANY: readonly string[] = [
  64,
  64,
  64,
  20,
  900,
  900,
  0,
  64,
  1401,
  1401,
  7,
  8,
  ...Array<number>(70).fill(50),
  3,
].map((length, index) => String.fromCharCode(97 + (index % 26)).repeat(length))

/** The core's side of an association: takes what there is when it is told to. */
class Association implements host.DatagramEvents {
  readonly got: string[] = []
  readonly errors: number[] = []
  socket: host.DatagramSocket | undefined
  readonly #driver: Driver
  readonly #buffer: number

  constructor(driver: Driver) {
    this.#driver = driver
    this.#buffer = driver.memory.base + driver.memory.arena.inbox
  }

  open(port: number): void {
    const socket = this.#driver.datagrams.udp(loopback(port), this)
    if (typeof socket === "number") throw new Error(`no socket: ${socket}`)
    this.socket = socket
  }

  onReadable(): void {
    for (;;) {
      const length = this.socket?.receive(this.#buffer, ROOM) ?? -EAGAIN
      if (length === -EAGAIN) return
      if (length < 0) this.errors.push(-length)
      else this.got.push(textAt(this.#driver, this.#buffer, length))
    }
  }
}

function textAt(driver: Driver, address: number, length: number): string {
  const bytes = Buffer.alloc(length)
  driver.memory.read(address, length, bytes, 0)
  return bytes.toString()
}

async function peer(): Promise<{ socket: Socket; port: number; got: string[]; close: () => Promise<void> }> {
  const socket = createSocket("udp4")
  const got: string[] = []
  socket.on("message", (message, from) => {
    got.push(message.toString())
    socket.send(`re: ${message.toString()}`, from.port, from.address)
  })
  socket.bind(0, "127.0.0.1")
  await once(socket, "listening")
  return {
    socket,
    port: socket.address().port,
    got,
    close: async () => {
      socket.close()
      await once(socket, "close")
    },
  }
}

async function expectTaken(driver: Driver, port: number): Promise<void> {
  const listener = driver.listeners.udp(loopback(port), driver.memory.base, () => undefined)
  expect(typeof listener === "number" ? listener : await listener.opening).toBe(-98)
  if (typeof listener !== "number") listener[Symbol.dispose]()
}

for (const kind of kinds) {
  describe(`${kind.name}: datagrams`, () => {
    it("go out and come back, from the first on", async () => {
      using driver = kind.open()
      const at = await peer()
      const association = new Association(driver)
      association.open(at.port)
      const large = "x".repeat(9000)
      for (const text of ["one", "", large]) {
        expect(association.socket?.send(pieces(driver, text))).toBeGreaterThanOrEqual(0)
      }
      await driver.until(() => association.got.length === 3)
      expect(association.got).toEqual(["re: one", "re: ", `re: ${large}`])
      association.socket?.close()
      await driver.until(() => driver.memory.arena.heap.used === 0)
      await at.close()
    })

    it("go out many at once, each its own and in order", async () => {
      using driver = kind.open()
      const at = await peer()
      const association = new Association(driver)
      association.open(at.port)
      expect(association.socket?.sendEach(each(driver, MANY))).toBe(0)
      await driver.until(() => association.got.length === MANY.length)
      expect(at.got).toEqual(MANY)
      association.socket?.close()
      await at.close()
    })

    it("come back as refused where nobody is", async () => {
      using driver = kind.open()
      const at = await peer()
      await at.close()
      const association = new Association(driver)
      association.open(at.port)
      association.socket?.send(pieces(driver, "anybody?"))
      await driver.until(() => association.errors.length > 0)
      expect(association.errors).toEqual([ECONNREFUSED])
      association.socket?.close()
    })

    it("are heard of no more after the end", async () => {
      using driver = kind.open()
      const at = await peer()
      const association = new Association(driver)
      association.open(at.port)
      association.socket?.send(pieces(driver, "one"))
      await driver.until(() => association.got.length === 1)
      association.socket?.send(pieces(driver, "two"))
      association.socket?.close()
      const other = new Association(driver)
      other.open(at.port)
      other.socket?.send(pieces(driver, "three"))
      await driver.until(() => other.got.length === 1)
      expect(association.got).toEqual(["re: one"])
      other.socket?.close()
      await at.close()
    })

    it("of a listener go many at once to the client they are for", async () => {
      using driver = kind.open()
      const free = await peer()
      await free.close()
      const heard: host.DatagramSocket[] = []
      const listener = driver.listeners.udp(
        loopback(free.port),
        driver.memory.base + driver.memory.arena.inbox,
        (socket) => ({ deliver: () => heard.push(socket) }),
      )
      if (typeof listener === "number") throw new Error(`no listener: ${listener}`)
      expect((await listener.opening) ?? 0).toBe(0)
      const got: string[] = []
      const client = createSocket("udp4", (message) => got.push(message.toString()))
      client.send("hello", free.port, "127.0.0.1")
      await driver.until(() => heard.length === 1)
      expect(heard[0]?.sendEach(each(driver, MANY))).toBe(0)
      await driver.until(() => got.length === MANY.length)
      expect(got).toEqual(MANY)
      listener[Symbol.dispose]()
      client.close()
      await driver.until(() => driver.memory.arena.heap.used === 0)
    })

    it("of a listener's clients each go their own way", async () => {
      using driver = kind.open()
      const free = await peer()
      await free.close()
      const buffer = driver.memory.base + driver.memory.arena.inbox
      const heard: { text: string; socket: host.DatagramSocket }[] = []
      const listener = driver.listeners.udp(loopback(free.port), buffer, (socket) => ({
        deliver: (length) => heard.push({ text: textAt(driver, buffer, length), socket }),
      }))
      if (typeof listener === "number") throw new Error(`no listener: ${listener}`)
      expect((await listener.opening) ?? 0).toBe(0)
      const clients = [createSocket("udp4"), createSocket("udp4")]
      const answers = clients.map((client) => {
        const got: string[] = []
        client.on("message", (message) => got.push(message.toString()))
        return got
      })
      for (const [index, client] of clients.entries()) client.send(`client ${index}`, free.port, "127.0.0.1")
      await driver.until(() => heard.length === 2)
      for (const { text, socket } of heard) socket.send(pieces(driver, `to ${text}`))
      await driver.until(() => answers.every((got) => got.length === 1))
      expect(answers).toEqual([["to client 0"], ["to client 1"]])
      expect(heard[0]?.socket).not.toBe(heard[1]?.socket)
      // Whoever is known keeps its association, until that is closed.
      clients[0]?.send("again", free.port, "127.0.0.1")
      await driver.until(() => heard.length === 3)
      const first = heard.find(({ text }) => text === "client 0")?.socket
      expect(heard[2]?.socket).toBe(first)
      first?.close()
      clients[0]?.send("anew", free.port, "127.0.0.1")
      await driver.until(() => heard.length === 4)
      expect(heard[3]?.socket).not.toBe(first)
      await expectTaken(driver, free.port)
      listener[Symbol.dispose]()
      for (const client of clients) client.close()
      await driver.until(() => driver.memory.arena.heap.used === 0)
    })
  })

  describe(`${kind.name}: a clock`, () => {
    it("rings when it was last told to, once, and not after it was told not to", async () => {
      using driver = kind.open()
      const { clock } = driver
      const rung: string[] = []
      const alarms = ["moved later", "moved sooner", "cancelled", "plain"].map((name) =>
        clock.alarm(() => void rung.push(`${name} ${clock.now() >= due(name)}`)),
      )
      const [later, sooner, cancelled, plain] = alarms
      const start = clock.now()
      const due = (name: string): number =>
        start + ({ "moved later": 30, "moved sooner": 5, plain: 15 }[name] ?? Number.POSITIVE_INFINITY)
      later?.at(start + 1)
      later?.at(start + 30)
      sooner?.at(start + 10_000)
      sooner?.at(start + 5)
      cancelled?.at(start + 2)
      cancelled?.cancel()
      plain?.at(start + 15)
      expect(alarms.map(({ deadline }) => Math.round((deadline - start) * 1000) / 1000)).toEqual([
        30,
        5,
        Number.POSITIVE_INFINITY,
        15,
      ])
      await driver.until(() => rung.length === 3)
      expect(rung).toEqual(["moved sooner true", "plain true", "moved later true"])
      expect(alarms.every(({ deadline }) => deadline === Number.POSITIVE_INFINITY)).toBe(true)
    })
  })
}

describe.runIf(available().available)("loop: many datagrams at once", () => {
  it("go out although the one before came back, which is told", async () => {
    for (const { name, open } of kinds) {
      if (name !== "loop") continue
      using driver = open()
      const gone = await peer()
      await gone.close()
      const association = new Association(driver)
      association.open(gone.port)
      expect(association.socket?.send(pieces(driver, "anybody?"))).toBe(8)
      const got: string[] = []
      const late = createSocket("udp4", (message) => got.push(message.toString()))
      late.bind(gone.port, "127.0.0.1")
      await once(late, "listening")
      expect(association.socket?.sendEach(each(driver, ["a", "b", "c"]))).toBe(-ECONNREFUSED)
      await driver.until(() => got.length === 3)
      expect(got).toEqual(["a", "b", "c"])
      association.socket?.close()
      late.close()
    }
  })
})

describe("node: an echo", () => {
  it("is honestly absent", () => {
    for (const { name, open } of kinds) {
      if (name !== "node") continue
      using driver = open()
      const association = new Association(driver)
      expect(driver.datagrams.echo(loopback(0), association)).toBe(-EACCES)
    }
  })
})
