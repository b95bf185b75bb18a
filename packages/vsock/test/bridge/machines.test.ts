// Guests and front ends that misbehave or die: each stream has a clear end, everybody else goes on.
import { readdirSync } from "node:fs"
import { fuzzing, type Random, seeded } from "@skep/fake-qemu"
import { hyperkitGreeting } from "@skep/vsock-host/dialect"
import { describe, expect, it } from "vitest"
import { openBridge } from "./bridge-rig.ts"
import { CID, type RingGuest } from "./ring-guest.ts"

const PORT = 5000
const SERVICE = 7000
const RW = 5
const descriptors = (): number => readdirSync("/proc/self/fd").length

type Rig = ReturnType<typeof openBridge>

/** A stream of the guest to a service of the host. */
function connectOut(rig: Rig, guest: RingGuest, service: number) {
  const stream = guest.connect(SERVICE)
  rig.settle()
  expect(stream.state).toBe("open")
  return { stream, host: rig.accept(service) }
}

describe("a guest that", () => {
  it("sends past its credit loses that stream, and the host sees its end", () => {
    using rig = openBridge({ limits: { bufferBytes: 8192 } })
    using machine = rig.machine()
    const { guest } = machine
    const good = rig.reach(PORT)
    const { stream, host } = connectOut(rig, guest, rig.serve(SERVICE))
    // The socket's own buffer takes the first of it.
    for (let sent = 0; sent < 1 << 20; sent += 4096)
      guest.send(
        { op: RW, srcPort: stream.port, dstPort: SERVICE, len: 4096, bufAlloc: 65_536 },
        Buffer.alloc(4096, "x"),
      )
    for (let round = 0; round < 20; round++) {
      rig.settle()
      expect(rig.bridge.device.streams.heldBytes).toBeLessThanOrEqual(8192)
    }
    expect(rig.bridge.device.streams.counts()).toMatchObject({ "over-credit": 1 })
    expect(stream.state).toBe("over")
    let said = rig.read(host)
    while (said !== undefined && said !== "") said = rig.read(host)
    expect(said).toBeUndefined()
    expect(rig.echo(good, "undisturbed")).toBe("undisturbed")
  })

  it("breaks its ring loses its device until it starts it anew; the hosts' streams end at once", () => {
    using rig = openBridge()
    const machine = rig.machine()
    const client = rig.reach(PORT)
    expect(rig.echo(client, "hello")).toBe("hello")
    machine.breakRings()
    rig.settle()
    expect(rig.read(client)).toBeUndefined()
    const late = rig.reach(PORT)
    rig.wait(5000)
    expect(rig.read(late)).toBeUndefined()
    machine[Symbol.dispose]()
    rig.settle()
    using _next = rig.machine()
    expect(rig.echo(rig.reach(PORT), "next")).toBe("next")
  })
})

describe("a front end that is killed", () => {
  it("in the midst of transfers ends every stream of the host at once; the next one is served", () => {
    using rig = openBridge()
    const service = rig.serve(SERVICE)
    const before = descriptors()
    for (let round = 0; round < 5; round++) {
      const machine = rig.machine()
      const clients = Array.from({ length: 10 }, () => rig.reach(PORT))
      const outs = Array.from({ length: 5 }, () => connectOut(rig, machine.guest, service))
      for (const stream of machine.guest.streams.values())
        machine.guest.write(stream, Buffer.alloc(1 << 19, "x"))
      for (const client of clients) rig.write(client, Buffer.alloc(30_000, "y"))
      rig.settle()
      expect(rig.bridge.device.streams.heldBytes).toBeGreaterThan(0)
      const half = rig.dial("0000") // has not even greeted yet: it is the next machine's
      machine[Symbol.dispose]()
      rig.settle()
      for (const fd of [...clients, ...outs.map(({ host }) => host)]) {
        let said = rig.read(fd)
        while (said !== undefined && said !== "") said = rig.read(fd)
        expect(said).toBeUndefined()
        rig.hangUp(fd)
      }
      expect(rig.bridge.device.streams).toMatchObject({ size: 0, heldBytes: 0 })
      const next = rig.machine()
      rig.write(half, Buffer.from(`${hyperkitGreeting(CID, PORT).slice(4)}half`))
      rig.settle()
      expect(rig.read(half)).toBe("half")
      // A guest that begins anew is told nothing of the streams of another.
      expect(rig.bridge.device.streams.orphans).toBe(0)
      rig.hangUp(half)
      next[Symbol.dispose]()
      rig.settle()
      rig.wait(40_000)
      expect(descriptors()).toBe(before)
    }
  })

  it("and was only let go of by a keeper has its guest told of the end of each stream, idle ones too", () => {
    using rig = openBridge()
    using machine = rig.machine()
    const service = rig.serve(SERVICE)
    const { stream } = connectOut(rig, machine.guest, service)
    const client = rig.reach(PORT)
    const before = [...machine.guest.streams.values()]
    expect(before).toHaveLength(2)
    machine.reconnect()
    rig.settle()
    expect(rig.read(client)).toBeUndefined()
    expect(before.map(({ state }) => state)).toEqual(["over", "over"])
    expect(stream.state).toBe("over")
    expect(rig.echo(rig.reach(PORT), "on")).toBe("on")
  })
})

const NUMBERS = [0, 1, 2, 3, 44, 4096, 65_536, 2 ** 31, 2 ** 32 - 1]
const OPS = 9

interface Scene {
  readonly rig: Rig
  readonly guest: RingGuest
  readonly random: Random
  readonly clients: number[]
}

/** Any packet: of a stream that there is, more often than not. */
function anyPacket({ guest, random }: Scene): void {
  const known = [...guest.streams.values()].at(random.int(8))
  const stream = random.oneIn(4) ? undefined : known
  const payload = random.oneIn(2) ? new Uint8Array(0) : random.bytes(random.int(300))
  const number = (honest: number): number => (random.oneIn(3) ? random.pick(NUMBERS) : honest)
  guest.send(
    {
      op: random.int(OPS),
      srcPort: stream?.port ?? random.pick([PORT, 6, 40_000 + random.int(50)]),
      dstPort: stream?.hostPort ?? random.pick([SERVICE, 8, 2 ** 30]),
      len: number(payload.length),
      flags: random.int(5),
      type: random.pick([1, 1, 1, 1, 1, 1, 1, 1, 1, 2]),
      srcCid: random.pick([CID, CID, CID, CID, CID, CID, CID, CID, CID, 4]),
      bufAlloc: number(65_536),
      fwdCnt: number(stream?.forwarded ?? 0),
    },
    payload,
  )
}

/** With a client, if there is one. */
const withClient =
  (act: (scene: Scene, client: number) => unknown) =>
  (scene: Scene): void => {
    if (scene.clients.length > 0) act(scene, scene.random.pick(scene.clients))
  }

const ACTS: readonly ((scene: Scene) => unknown)[] = [
  anyPacket,
  anyPacket,
  anyPacket,
  ({ guest, random }) => guest.connect(random.pick([SERVICE, SERVICE, 8])),
  ({ rig, random, clients }) => {
    const greeting = random.pick(["CONN", hyperkitGreeting(CID, PORT), hyperkitGreeting(CID, 6)])
    if (clients.length < 40) clients.push(rig.dial(greeting))
  },
  withClient(({ rig, random }, client) => rig.write(client, random.bytes(random.int(5000)))),
  withClient(({ rig }, client) => rig.read(client)),
  withClient(({ rig, clients }, client) => {
    clients.splice(clients.indexOf(client), 1)
    rig.hangUp(client)
  }),
  ({ rig, random }) => rig.wait(random.oneIn(10) ? 40_000 : random.int(300)),
]

describe("guests and clients that do what they like, for long", () => {
  it("make nothing throw, and leave nothing behind", () => {
    const { steps, seed } = fuzzing(3000)
    const random = seeded(seed)
    const before = descriptors()
    {
      using rig = openBridge({
        limits: { maxStreams: 30, bufferBytes: 16_384, maxHeldBytes: 100_000, maxReplies: 8 },
      })
      const service = rig.serve(SERVICE)
      const clients: number[] = []
      let machine = rig.machine()
      for (let step = 0; step < steps; step++) {
        random.pick(ACTS)({ rig, guest: machine.guest, random, clients })
        if (random.oneIn(4)) rig.settle(1)
        const { size, heldBytes } = rig.bridge.device.streams
        expect(size).toBeLessThanOrEqual(30)
        expect(heldBytes).toBeLessThanOrEqual(100_000)
        if (random.oneIn(10)) clients.push(...rig.acceptAll(service))
        if (random.oneIn(300)) machine.reconnect()
        if (random.oneIn(300)) {
          machine[Symbol.dispose]()
          rig.settle()
          machine = rig.machine()
        }
      }
      machine[Symbol.dispose]()
      clients.push(...rig.acceptAll(service))
      for (const client of clients) rig.hangUp(client)
      rig.settle()
      rig.wait(40_000)
      expect(rig.bridge.device.streams).toMatchObject({ size: 0, heldBytes: 0 })
      expect(rig.bridge.device.hosts).toBe(0)
      using _last = rig.machine()
      expect(rig.echo(rig.reach(PORT), "served")).toBe("served")
    }
    expect(descriptors()).toBe(before)
  })
})
