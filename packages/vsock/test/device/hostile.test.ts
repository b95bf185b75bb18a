import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Connection } from "../../src/device/connection.ts"
import type { HostSide } from "../../src/device/host-side.ts"
import { HEADER, type Packet, parse } from "../../src/device/packet.ts"
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

/** Few ports and lengths, so that a random packet often hits a stream. */
const port = fc.oneof(fc.nat(3), fc.constantFrom(2 ** 30, 2 ** 30 + 1, 2 ** 32 - 1))
const amount = fc.oneof(fc.nat(60), fc.constantFrom(2 ** 31, 2 ** 32 - 1), fc.nat(2 ** 32 - 1))
const packet: fc.Arbitrary<Packet> = fc.record({
  srcCid: fc.oneof({ weight: 20, arbitrary: fc.constant(CID) }, { weight: 1, arbitrary: amount }),
  dstCid: fc.oneof({ weight: 20, arbitrary: fc.constant(2) }, { weight: 1, arbitrary: amount }),
  srcPort: port,
  dstPort: port,
  len: amount,
  type: fc.oneof({ weight: 20, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(9) }),
  op: fc.oneof({ weight: 20, arbitrary: fc.nat(7) }, { weight: 1, arbitrary: fc.nat(0xffff) }),
  flags: fc.oneof(fc.nat(3), amount),
  bufAlloc: amount,
  fwdCnt: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: amount }),
})
const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ packet, carried: amount }) },
  { weight: 8, arbitrary: fc.record({ host: fc.nat(9), which: fc.nat(9), count: fc.nat(60) }) },
  { weight: 2, arbitrary: fc.record({ takes: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ passes: fc.nat(60) }) },
)

/** The host's side of it all: answers as it is told, and watches the order of what it is asked for. */
class Host implements HostSide {
  readonly open: Connection[] = []
  readonly closed: Connection[] = []
  answers = 0

  connect(connection: Connection): void {
    this.open.push(connection)
    this.answers += 1
    if (connection.hostPort === GOOD_HOST || this.answers % 3 === 0) connection.accept()
    else if (this.answers % 3 === 1) connection.refuse()
  }

  opened(connection: Connection): void {
    expect(this.closed).not.toContain(connection)
  }

  endWrites(connection: Connection): void {
    expect(this.closed).not.toContain(connection)
    expect(connection.undelivered).toBe(0)
  }

  endReads(connection: Connection): void {
    expect(this.closed).not.toContain(connection)
  }

  close(connection: Connection): void {
    expect(this.closed).not.toContain(connection)
    expect(connection.undelivered).toBe(0)
    this.closed.push(connection)
    if (this.open.includes(connection)) this.open.splice(this.open.indexOf(connection), 1)
  }
}

describe("a hostile guest", () => {
  it("cannot make it throw, grow, or disturb another stream", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
        let now = 0
        const host = new Host()
        const streams = new Streams({ guestCid: CID, host, now: () => now, limits: LIMITS })
        const bytes = new Uint8Array(HEADER)
        const good = (op: number, len = 0, fwdCnt = 0) =>
          streams.onPacket(
            {
              ...{ srcCid: CID, dstCid: 2, srcPort: GOOD_GUEST, dstPort: GOOD_HOST },
              ...{ len, type: 1, op, flags: 0, bufAlloc: 100, fwdCnt },
            },
            len,
          )
        good(1)
        const undisturbed = host.open[0]
        let sent = 0

        for (const one of steps) {
          if ("packet" in one) {
            const stream = streams.onPacket(one.packet, one.carried)
            if (stream !== undefined) expect(one.packet.len).toBeLessThanOrEqual(LIMITS.bufferBytes)
          } else if ("host" in one) {
            act(streams, host.open.filter((stream) => stream !== undisturbed).at(-1 - one.which), one)
          } else if ("takes" in one) {
            for (let turn = 0; turn < one.takes; turn += 1) {
              const next = streams.next(bytes, 0)
              if (typeof next === "object") serve(next, bytes)
            }
          } else {
            now += one.passes
            streams.onTimer()
          }
          expect(streams.size).toBeLessThanOrEqual(LIMITS.maxStreams)
          expect(streams.heldBytes).toBeLessThanOrEqual(LIMITS.maxHeldBytes)
          expect(streams.heldBytes).toBe(
            streams.connections().reduce((sum, stream) => sum + stream.undelivered, 0),
          )
        }

        // Everything that waits for a buffer is one packet a stream and kind, and a few replies.
        let packets = 0
        for (let turn = streams.next(bytes, 0); turn !== undefined; turn = streams.next(bytes, 0)) {
          if (turn === "sent") packets += 1
          else turn.onHostDrained()
        }
        expect(packets).toBeLessThanOrEqual(LIMITS.maxStreams * 6 + LIMITS.maxReplies)

        expect(undisturbed?.state).toBe("established")
        for (const stream of host.open) {
          if (stream !== undisturbed) stream.onHostError()
        }
        expect(good(5, 20)).toBe(undisturbed)
        undisturbed?.onHostWritten(20)
        undisturbed?.onHostReadable()
        for (let turn = streams.next(bytes, 0); turn !== undefined; turn = streams.next(bytes, 0)) {
          if (turn === "sent") continue
          expect(turn).toBe(undisturbed)
          if (sent < 60) {
            turn.onHostRead(20, bytes, 0)
            sent += 20
          } else turn.onHostDrained()
        }
        expect(sent).toBe(60)
        undisturbed?.onHostEnd()
        good(4)
        expect(parse(bytes, 0, HEADER)).toMatchObject({ dstCid: CID, srcCid: 2 })
        streams.abort()
        while (streams.next(bytes, 0) === "sent");
        expect([streams.size, streams.heldBytes, host.open.length]).toEqual([0, 0, 0])
        expect(streams.pollAt()).toBe(Number.POSITIVE_INFINITY)
      }),
      { numRuns: 300 },
    )
  })
})

function serve(stream: Connection, bytes: Uint8Array): void {
  const room = stream.writable
  expect(room).toBeGreaterThan(0)
  if (room % 3 === 0) stream.onHostDrained()
  else stream.onHostRead(Math.min(room, 40), bytes, 0)
}

/** Something happens at one of the host's sockets, if there is one. */
function act(
  streams: Streams,
  stream: Connection | undefined,
  what: { readonly host: number; readonly count: number },
): void {
  switch (what.host) {
    case 0:
      streams.connect(what.count % 4)
      break
    case 1:
      stream?.accept()
      break
    case 2:
      stream?.refuse()
      break
    case 3:
    case 4:
      stream?.onHostReadable()
      break
    case 5:
    case 6:
      stream?.onHostWritten(Math.min(what.count, stream.undelivered))
      break
    case 7:
      stream?.onHostEnd()
      break
    case 8:
      stream?.onHostClosed()
      break
    default:
      if (what.count < 10) stream?.onHostError()
  }
}
