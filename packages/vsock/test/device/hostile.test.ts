import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Connection } from "../../src/device/connection.ts"
import type { HostSide } from "../../src/device/host-side.ts"
import { HEADER, type Packet, TYPE_STREAM } from "../../src/device/packet.ts"
import { Streams } from "../../src/device/streams.ts"
import { CID } from "./rig.ts"

const LIMITS = {
  maxStreams: 5,
  bufferBytes: 50,
  maxHeldBytes: 120,
  maxReplies: 4,
  connectMs: 50,
  lingerMs: 80,
}
/** A stream in which the guest behaves. */
const GOOD_GUEST = 500
const GOOD_HOST = 600
const REQUEST = 1
const RW = 5

/** Few ports and lengths, so that a random packet often hits a stream. */
const port = fc.oneof(fc.nat(3), fc.constantFrom(2 ** 30, 2 ** 30 + 1, 2 ** 32 - 1))
const amount = fc.oneof(fc.nat(60), fc.constantFrom(2 ** 31, 2 ** 32 - 1), fc.nat(2 ** 32 - 1))
const packet: fc.Arbitrary<Packet> = fc.record({
  srcCid: fc.oneof({ weight: 20, arbitrary: fc.constant(CID) }, { weight: 1, arbitrary: amount }),
  dstCid: fc.oneof({ weight: 20, arbitrary: fc.constant(2) }, { weight: 1, arbitrary: amount }),
  srcPort: port,
  dstPort: port,
  len: amount,
  type: fc.oneof({ weight: 20, arbitrary: fc.constant(TYPE_STREAM) }, { weight: 1, arbitrary: fc.nat(9) }),
  op: fc.oneof({ weight: 20, arbitrary: fc.nat(7) }, { weight: 1, arbitrary: fc.nat(0xffff) }),
  flags: fc.oneof(fc.nat(3), amount),
  bufAlloc: amount,
  fwdCnt: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: amount }),
})
const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ packet, carried: amount }) },
  { weight: 8, arbitrary: fc.record({ happens: fc.nat(9), which: fc.nat(9), count: fc.nat(60) }) },
  { weight: 2, arbitrary: fc.record({ takes: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ passes: fc.nat(60) }) },
)
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

/** The host's side of it all: answers now so, now otherwise, and watches what it is asked for. */
class Host implements HostSide {
  readonly open: Connection[] = []
  readonly complaints: string[] = []
  #answers = 0

  connect(connection: Connection): void {
    this.open.push(connection)
    this.#answers += 1
    if (connection.hostPort === GOOD_HOST || this.#answers % 3 === 0) connection.accept()
    else if (this.#answers % 3 === 1) connection.refuse()
  }

  opened(connection: Connection): void {
    this.#check(connection, "opened")
  }

  endWrites(connection: Connection): void {
    this.#check(connection, "endWrites")
    if (connection.undelivered > 0) this.complaints.push("endWrites before the last byte")
  }

  endReads(connection: Connection): void {
    this.#check(connection, "endReads")
  }

  close(connection: Connection): void {
    this.#check(connection, "close")
    if (this.open.includes(connection)) this.open.splice(this.open.indexOf(connection), 1)
  }

  #check(connection: Connection, what: string): void {
    if (!this.open.includes(connection)) this.complaints.push(`${what} after close`)
  }
}

/** A device, and the one good stream in it. */
class Attack {
  readonly host = new Host()
  readonly streams: Streams
  readonly good: Connection | undefined
  readonly #bytes = new Uint8Array(HEADER)
  #now = 0

  constructor() {
    this.streams = new Streams({ guestCid: CID, host: this.host, now: () => this.#now, limits: LIMITS })
    this.send(REQUEST, 0)
    this.good = this.host.open[0]
  }

  /** A packet of the good stream. */
  send(op: number, len: number): Connection | undefined {
    const from = { srcCid: CID, dstCid: 2, srcPort: GOOD_GUEST, dstPort: GOOD_HOST, type: TYPE_STREAM }
    return this.streams.onPacket({ ...from, op, len, flags: 0, bufAlloc: 100, fwdCnt: 0 }, len)
  }

  step(one: Step): void {
    if ("packet" in one) {
      const stream = this.streams.onPacket(one.packet, one.carried)
      if (stream !== undefined) this.#expect(one.packet.len <= LIMITS.bufferBytes, "too much to deliver")
      if (stream?.mayKeep() === false) this.#expect(stream.undelivered === 0, "kept after all")
    } else if ("happens" in one) {
      this.#happen(one)
    } else if ("takes" in one) {
      for (let turn = 0; turn < one.takes; turn += 1) this.#take()
    } else {
      this.#now += one.passes
      this.streams.onTimer()
    }
    const { size, heldBytes } = this.streams
    const undelivered = this.streams.connections().map((stream) => stream.undelivered)
    this.#expect(size <= LIMITS.maxStreams, "too many streams")
    this.#expect(heldBytes <= LIMITS.maxHeldBytes, "too much held")
    this.#expect(heldBytes === undelivered.reduce((sum, bytes) => sum + bytes, 0), "the sum is wrong")
  }

  /** How many control packets there are to send; leaves no stream waiting. */
  drain(): number {
    let packets = 0
    for (;;) {
      const turn = this.streams.next(this.#bytes, 0)
      if (turn === undefined) return packets
      if (turn === "sent") packets += 1
      else turn.onHostDrained()
    }
  }

  /** Sends `count` bytes of the good stream's host. */
  read(count: number): void {
    this.good?.onHostReadable()
    const turn = this.streams.next(this.#bytes, 0)
    this.#expect(turn === this.good, "it is another's turn")
    this.good?.onHostRead(count, this.#bytes, 0)
    this.good?.onHostDrained()
  }

  #take(): void {
    const turn = this.streams.next(this.#bytes, 0)
    if (typeof turn !== "object") return
    this.#expect(turn.writable > 0, "a turn without room")
    if (turn.writable % 3 === 0) turn.onHostDrained()
    else turn.onHostRead(Math.min(turn.writable, 40), this.#bytes, 0)
  }

  /** Something at one of the host's sockets, the good one's excepted. */
  #happen({ happens, which, count }: { happens: number; which: number; count: number }): void {
    const stream = this.host.open.filter((one) => one !== this.good).at(-1 - which)
    if (happens === 0) {
      const asked = this.streams.connect(count % 4)
      if (asked !== "over-limit") this.host.open.push(asked)
    } else if (stream !== undefined) HAPPENINGS[happens - 1]?.(stream, count)
  }

  #expect(holds: boolean, otherwise: string): void {
    if (!holds) this.host.complaints.push(otherwise)
  }
}

const HAPPENINGS: readonly ((stream: Connection, count: number) => void)[] = [
  (stream) => stream.accept(),
  (stream) => stream.refuse(),
  (stream) => stream.onHostReadable(),
  (stream) => stream.onHostReadable(),
  (stream, count) => stream.onHostWritten(Math.min(count, stream.undelivered)),
  (stream, count) => stream.onHostWritten(Math.min(count, stream.undelivered)),
  (stream) => stream.onHostEnd(),
  (stream) => stream.onHostClosed(),
  (stream, count) => {
    if (count < 10) stream.onHostError()
  },
]

describe("a hostile guest", () => {
  it("cannot make it throw, grow, or disturb another stream", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
        const attack = new Attack()
        const { host, streams, good } = attack
        for (const one of steps) attack.step(one)
        expect(host.complaints).toEqual([])
        // Everything that waits for a buffer: each kind of control packet once a stream, and a few replies.
        expect(attack.drain()).toBeLessThanOrEqual(LIMITS.maxStreams * 6 + LIMITS.maxReplies)

        expect(good?.state).toBe("established")
        // The others may have used up what all may hold together.
        for (const stream of host.open.filter((one) => one !== good)) stream.onHostError()
        attack.drain()
        expect(attack.send(RW, 20)).toBe(good)
        good?.onHostWritten(20)
        for (const count of [20, 40, 40]) attack.read(count)

        streams.abort()
        attack.drain()
        expect([streams.size, streams.heldBytes, host.open.length]).toEqual([0, 0, 0])
        expect([streams.pollAt(), streams.wantsBuffer]).toEqual([Number.POSITIVE_INFINITY, false])
        expect(host.complaints).toEqual([])
      }),
      { numRuns: 300 },
    )
  })
})
