// Streams that outlived their device: the guest is to hear of their end, also where it only listens.
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { HOST_PORT_FIRST } from "../../src/device/streams.ts"
import { Bridge, type HostSocket } from "./model/bridge.ts"
import { type GuestSocket, LinuxGuest } from "./model/linux-guest.ts"
import { MemoryJournal } from "./model/memory-journal.ts"
import { CID, GUEST_PORT, HOST_PORT, Rig } from "./rig.ts"

/** A device, and one that comes after it was killed. */
function killed(limits = {}) {
  const journal = new MemoryJournal()
  const before = new Rig(limits, { journal })
  const succeed = () => {
    const next = new MemoryJournal(journal.pairs)
    return { next, after: new Rig(limits, { journal: next }) }
  }
  return { before, journal, succeed }
}

describe("a device that comes after a killed one", () => {
  it("resets the streams of that one, unasked, and forgets them", () => {
    const { before, succeed } = killed()
    before.established()
    before.connect(22)
    before.taken()
    const { next, after } = succeed()
    expect(after.streams.orphans).toBe(2)
    expect(after.take()).toMatchObject({ op: 3, srcPort: HOST_PORT, dstPort: GUEST_PORT, dstCid: CID })
    expect(after.take()).toMatchObject({ op: 3, srcPort: HOST_PORT_FIRST, dstPort: 22 })
    expect(after.taken()).toBe("")
    expect([after.streams.orphans, after.count("orphans")]).toEqual([0, 2])
    expect(next.pairs).toEqual([])
  })

  it("finds nothing of streams that were over", () => {
    const { before, journal } = killed()
    const connection = before.established()
    before.reply(connection, "rst")
    const other = before.established()
    other.abort()
    expect(journal.pairs).toHaveLength(1) // its reset is due and not yet in a buffer
    expect(before.taken()).toBe("rst")
    expect(journal.pairs).toEqual([])
  })

  it("resets once, also where the guest sends on an old stream meanwhile", () => {
    const { before, succeed } = killed()
    before.established()
    const { after } = succeed()
    after.send("rw", { len: 5 })
    expect(after.taken()).toBe("rst")
    expect(after.streams.wantsBuffer).toBe(false)
  })

  it("says nothing where the guest's own reset comes first", () => {
    const { before, succeed } = killed()
    before.established()
    const { next, after } = succeed()
    after.send("rst")
    expect([after.taken(), next.pairs.length]).toEqual(["", 0])
  })

  it("does not reset a new stream of the same pair", () => {
    const { before, succeed } = killed()
    before.established()
    const { next, after } = succeed()
    after.send("request")
    expect(after.taken()).toBe("response")
    expect(next.pairs).toEqual([{ guestPort: GUEST_PORT, hostPort: HOST_PORT }])
  })

  it("gives out no host port that an orphan has", () => {
    const { before, succeed } = killed()
    before.connect(22)
    before.taken()
    expect(succeed().after.connect(22).hostPort).toBe(HOST_PORT_FIRST + 1)
  })

  it("is full with orphans, too, until they are told", () => {
    const { before, succeed } = killed({ maxStreams: 1 })
    before.established()
    const { after } = succeed()
    expect(after.streams.connect(22)).toBe("over-limit")
    expect(after.taken()).toBe("rst")
    after.connect(22)
  })

  it("forgets them all where the guest restarted, too", () => {
    const { before, succeed } = killed()
    before.established()
    const { next, after } = succeed()
    after.streams.transportReset()
    expect([after.taken(), after.streams.orphans, next.pairs.length]).toEqual(["", 0, 0])
  })

  it("owes what the one before it owed an even earlier one", () => {
    const { before, succeed } = killed()
    before.established()
    const second = succeed().next
    const third = new Rig({}, { journal: new MemoryJournal(second.pairs) })
    expect(third.taken()).toBe("rst")
  })
})

describe("detach()", () => {
  it("ends all streams for the host, and tells a guest that lived on", () => {
    const { before: rig, journal } = killed()
    rig.established()
    rig.connect(22)
    expect(rig.taken()).toBe("request")
    rig.streams.detach()
    expect(rig.host()).toBe("close gone, close gone")
    expect([rig.streams.size, rig.streams.orphans, journal.pairs.length]).toEqual([0, 2, 2])
    expect(rig.taken()).toBe("rst, rst")
    expect(journal.pairs).toEqual([])
  })

  it("still gives the host what the guest had finished sending", () => {
    const { before: rig } = killed()
    const connection = rig.established()
    rig.send("rw", { len: 10 })
    rig.send("shutdown", { flags: 2 })
    rig.streams.detach()
    expect(connection.state).toBe("draining")
    expect(rig.taken()).toBe("rst")
    connection.onHostWritten(10)
    expect(rig.host()).toBe("endReads, close closed")
    expect(rig.streams.orphans).toBe(0)
  })
})

const SERVICE = 7
const LISTENING = 9

/** A guest, and devices that come after each other. */
class World {
  readonly guest = new LinuxGuest(
    { cid: CID, bufferBytes: 64, packetBytes: 16, capsBySelf: true, tellsWhenLow: true },
    () => 0,
  )
  journal = new MemoryJournal()
  bridge: Bridge

  constructor() {
    this.guest.listening.add(LISTENING)
    this.bridge = this.#newBridge(HOST_PORT_FIRST)
  }

  /** The next packet of the guest arrives, or the next one for it. */
  carry(what: "out" | "in"): boolean {
    const parcel = what === "out" ? this.guest.out.shift() : this.bridge.toGuest.shift()
    if (parcel === undefined) return false
    if (what === "out") this.bridge.take(parcel)
    else this.guest.deliver(parcel)
    return true
  }

  /** What the device had put into buffers arrives; what it had not taken waits for the next one. */
  kill(): void {
    while (this.carry("in")) continue
    this.journal = new MemoryJournal(this.journal.pairs)
    this.bridge = this.#newBridge(HOST_PORT_FIRST + 1000)
  }

  settle(): void {
    for (let busy = true; busy; ) {
      busy = this.bridge.give()
      while (this.carry("out")) busy = true
      while (this.carry("in")) busy = true
    }
  }

  #newBridge(firstHostPort: number): Bridge {
    return new Bridge({
      guestCid: CID,
      now: () => 0,
      limits: { bufferBytes: 64, maxHeldBytes: 4096 },
      socketBytes: 32,
      bufferBytes: 64,
      refuses: (port) => port !== SERVICE,
      journal: this.journal,
      firstHostPort,
    })
  }
}

const inGuest =
  (act: (guest: LinuxGuest, socket: GuestSocket) => void) =>
  ({ guest }: World, which: number): void => {
    const socket = guest.all.at(-1 - which)
    if (socket !== undefined) act(guest, socket)
  }
const inHost =
  (act: (bridge: Bridge, socket: HostSocket) => void) =>
  ({ bridge }: World, which: number): void => {
    const socket = bridge.sockets.at(-1 - which)
    if (socket !== undefined) act(bridge, socket)
  }

const ACTS: readonly ((world: World, which: number) => unknown)[] = [
  ({ guest }) => guest.connect(SERVICE),
  ({ bridge }) => bridge.connect(LISTENING),
  ({ bridge }) => bridge.give(),
  (world) => world.carry("out"),
  (world) => world.carry("in"),
  inGuest((guest, socket) => guest.send(socket, 10)),
  inGuest((guest, socket) => guest.close(socket)),
  inGuest((guest, socket) => guest.shutdown(socket, 2)),
  inHost((bridge, socket) => bridge.write(socket, 10)),
  inHost((bridge, socket) => bridge.close(socket)),
]
const act = fc.record({ what: fc.nat(ACTS.length - 1), which: fc.nat(2) })

describe("a guest like Linux whose device is killed at any moment", () => {
  it("hears the end of every stream without doing anything, and no time passes", () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 120, size: "max" }), (acts) => {
        const world = new World()
        const { guest } = world
        for (const { what, which } of acts) ACTS[what]?.(world, which)
        world.kill()
        world.settle()
        // What is left began with the second device.
        const known = world.bridge.streams
          .connections()
          .map(({ guestPort, hostPort }) => `${guestPort}.${hostPort}`)
        expect(guest.live.map(({ port, hostPort }) => `${port}.${hostPort}`).sort()).toEqual(known.sort())
        for (const socket of guest.all.filter((one) => !guest.live.includes(one) && !one.released)) {
          while (guest.receive(socket, 100) > 0) continue
          expect(socket.sawEnd || socket.error !== undefined).toBe(true)
        }
        expect([world.bridge.streams.orphans, guest.complaints]).toEqual([0, []])
      }),
      { numRuns: 300 },
    )
  })
})
