// Clients of the host, of every kind: whatever one does, the others go on.
import { execFileSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { hyperkitGreeting } from "@skep/vsock-host/dialect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { openBridge } from "./bridge-rig.ts"
import { CID, type GuestStream } from "./ring-guest.ts"

const PORT = 5000
const descriptors = (): number => readdirSync("/proc/self/fd").length

describe("a client that", () => {
  it("greets at once and in one piece is served", () => {
    using rig = openBridge()
    using _machine = rig.machine()
    expect(rig.echo(rig.reach(PORT), "hello")).toBe("hello")
  })

  it("sends its greeting a byte at a time is served, and its first bytes with it", () => {
    using rig = openBridge()
    using _machine = rig.machine()
    const client = rig.dial()
    for (const letter of `${hyperkitGreeting(CID, PORT)}slow`) {
      rig.write(client, Buffer.from(letter))
      rig.settle(1)
    }
    rig.settle()
    expect(rig.read(client)).toBe("slow")
  })

  it("says nothing is hung up on after 5 s, and nobody waits for it", () => {
    using rig = openBridge()
    using _machine = rig.machine()
    const silent = rig.dial()
    rig.settle()
    rig.wait(4999)
    expect(rig.echo(rig.reach(PORT), "hello")).toBe("hello")
    expect(rig.read(silent)).toBe("")
    rig.wait(1)
    expect(rig.read(silent)).toBeUndefined()
    expect(rig.bridge.refusals).toEqual({ silent: 1 })
  })

  it("stops in the middle of its greeting is hung up on, too", () => {
    using rig = openBridge()
    using _machine = rig.machine()
    const half = rig.dial("00000003.0000")
    rig.settle()
    rig.wait(5000)
    expect(rig.read(half)).toBeUndefined()
    expect(rig.bridge.refusals).toEqual({ silent: 1 })
  })

  it("greets with anything else is hung up on, whatever it is; each is counted by its reason", () => {
    using rig = openBridge()
    using _machine = rig.machine()
    const other = rig.reach(PORT)
    const before = descriptors()
    let clients = 0
    const near = fc
      .tuple(
        fc.constantFrom(hyperkitGreeting(CID, PORT), "CONNECT 5000\n"),
        fc.nat(17),
        fc.integer({ min: 0, max: 255 }),
      )
      .map(([line, at, byte]) => Uint8Array.from(Buffer.from(line), (each, i) => (i === at ? byte : each)))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 64 }), near), (greeting) => {
        clients++
        const client = rig.dial()
        rig.write(client, greeting)
        rig.settle(3)
        rig.wait(5001)
        // Whoever happened to say it right has a stream; all others their end.
        if (rig.read(client) !== undefined) expect(rig.bridge.device.streams.size).toBe(2)
        rig.hangUp(client)
        rig.settle()
        rig.wait(31_000)
        expect(rig.bridge.device.streams.size).toBe(1)
      }),
      { numRuns: 200 },
    )
    expect(descriptors()).toBe(before)
    const refused = Object.values(rig.bridge.refusals).reduce((sum, count) => sum + count, 0)
    expect(refused).toBe(rig.bridge.counters.refused)
    expect(refused).toBeGreaterThan(clients / 2)
    expect(rig.echo(other, "undisturbed")).toBe("undisturbed")
  })

  it("asks for a port that nobody serves is hung up on", () => {
    using rig = openBridge()
    using machine = rig.machine()
    machine.guest.closedPorts.add(6)
    expect(rig.read(rig.reach(6))).toBeUndefined()
  })

  it("comes a little before the machine is served by it", () => {
    using rig = openBridge()
    const client = rig.reach(PORT)
    rig.wait(4000)
    using _machine = rig.machine()
    expect(rig.echo(client, "early")).toBe("early")
  })

  it("comes while no machine is there is hung up on after 5 s", () => {
    using rig = openBridge()
    const client = rig.reach(PORT)
    expect(rig.read(client)).toBe("")
    rig.wait(5000)
    expect(rig.read(client)).toBeUndefined()
    expect(rig.bridge.device.streams.size).toBe(0)
  })

  it("never reads stops its guest by credit, holds no more than the credit, and nobody else notices", () => {
    const bufferBytes = 65_536
    using rig = openBridge({ limits: { bufferBytes } })
    using machine = rig.machine()
    const other = rig.reach(PORT)
    const deaf = rig.reach(PORT)
    const stream = [...machine.guest.streams.values()].at(-1)
    machine.guest.write(stream as GuestStream, Buffer.alloc(4 << 20, "x"))
    for (let round = 0; round < 40; round++) rig.settle()
    const left = (stream as GuestStream).outgoing.reduce((sum, piece) => sum + piece.length, 0)
    // What the kernel's socket holds and what the credit is; not the 4 MiB.
    expect(left).toBeGreaterThan(2 << 20)
    expect(rig.bridge.device.streams.heldBytes).toBeLessThanOrEqual(bufferBytes)
    expect(rig.bridge.device.streams.heldBytes).toBeGreaterThan(bufferBytes / 2)
    for (let round = 0; round < 10; round++) expect(rig.echo(other, `round ${round}`)).toBe(`round ${round}`)
    // It reads after all: every byte is there.
    let bytes = 0
    for (let said = rig.read(deaf); bytes < 4 << 20 && said !== undefined; said = rig.read(deaf)) {
      bytes += said.length
      rig.settle(1)
    }
    expect(bytes).toBe(4 << 20)
    expect(rig.bridge.device.streams.heldBytes).toBe(0)
  })

  it("never reads, in numbers, is bounded by maxHeldBytes: who passes it is reset, and the others go on", () => {
    const maxHeldBytes = 262_144
    using rig = openBridge({ limits: { bufferBytes: 131_072, maxHeldBytes } })
    using machine = rig.machine()
    const other = rig.reach(PORT)
    const deaf = Array.from({ length: 6 }, () => rig.reach(PORT))
    for (const stream of [...machine.guest.streams.values()].slice(1))
      machine.guest.write(stream, Buffer.alloc(1 << 20, "x"))
    for (let round = 0; round < 60; round++) {
      rig.settle()
      expect(rig.bridge.device.streams.heldBytes).toBeLessThanOrEqual(maxHeldBytes)
    }
    const counts = rig.bridge.device.streams.counts()
    expect(counts["over-budget"]).toBeGreaterThan(0)
    expect(rig.bridge.device.streams.size).toBe(1 + deaf.length - counts["over-budget"])
    expect(rig.echo(other, "undisturbed")).toBe("undisturbed")
  })
})

/** Lets this process have `more` descriptors than it has, until disposed. */
function limitDescriptors(more: number): Disposable {
  const of = ["--pid", String(process.pid)]
  const before = execFileSync("prlimit", [...of, "--nofile", "--output=SOFT", "--noheadings"])
  const limit = (soft: string | number): void => {
    execFileSync("prlimit", [...of, `--nofile=${soft}:`])
  }
  limit(descriptors() + more)
  return { [Symbol.dispose]: () => limit(before.toString().trim()) }
}

describe("clients beyond the descriptors of this process", () => {
  it("wait in the backlog, leave the front end its own, and are served when others leave", () => {
    using _limit = limitDescriptors(170)
    using rig = openBridge() // spares 128 of them, and has some for itself: about 40 clients
    const first = Array.from({ length: 50 }, () => {
      const client = rig.dial(hyperkitGreeting(CID, PORT))
      rig.settle(1)
      return client
    })
    const { accepted, crowded } = rig.bridge.counters
    expect(accepted).toBeGreaterThan(10)
    expect(accepted).toBeLessThan(50)
    expect(crowded).toBeGreaterThan(0)
    expect(rig.bridge.device.hosts).toBe(accepted)
    using machine = rig.machine() // its memory, kicks and calls are a dozen descriptors
    expect(rig.echo(first[0] ?? -1, "served")).toBe("served")
    // A service has to wait its turn, too: the guest is refused, clearly.
    rig.serve(7000)
    const refused = machine.guest.connect(7000)
    rig.settle()
    expect(refused.state).toBe("over")
    for (const client of first.slice(0, 20)) rig.hangUp(client)
    for (let round = 0; round < 20; round++) rig.wait(100)
    expect(rig.bridge.counters.accepted).toBe(50)
    expect(rig.echo(first.at(-1) ?? -1, "served")).toBe("served")
  })
})

describe("clients beyond the 256 that say nothing yet", () => {
  it("wait in the backlog, and take the place of who has been silent for long", () => {
    using rig = openBridge()
    using _machine = rig.machine()
    const silent = Array.from({ length: 256 }, () => {
      const client = rig.dial()
      rig.settle(1)
      return client
    })
    expect(rig.bridge.counters).toMatchObject({ accepted: 256, refused: 0, crowded: 0 })
    const late = rig.dial(hyperkitGreeting(CID, PORT))
    rig.settle()
    expect(rig.bridge.counters).toMatchObject({ accepted: 256, crowded: 1 })
    for (let waited = 100; waited < 1000; waited += 100) rig.wait(100)
    expect(rig.bridge.counters.accepted).toBe(256)
    rig.wait(100)
    rig.write(late, Buffer.from("served"))
    rig.settle()
    expect(rig.read(late)).toBe("served")
    // The oldest made room; nobody else had to.
    expect(rig.read(silent[0] ?? -1)).toBeUndefined()
    expect(rig.read(silent[1] ?? -1)).toBe("")
    expect(rig.bridge.refusals).toEqual({ silent: 1 })
  })
})
