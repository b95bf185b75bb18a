import { Frame, Gather, Parts } from "@skep/link"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { TcpHeaders } from "../../src/flow/tcp-headers.ts"
import { ACK, FIN, PSH } from "../../src/tcp/connection.ts"
import { FIRST, GuestByHand } from "../rig/guest-by-hand.ts"

const GATEWAY_MAC = 0x5a94ef000001
const GUEST_MAC = 0x5a94ef000002
const ENDS = {
  guestMac: GATEWAY_MAC,
  gatewayMac: GUEST_MAC,
  guest: Uint8Array.of(10, 9, 8, 7),
  guestPort: 80,
  other: Uint8Array.of(192, 168, 64, 2),
  otherPort: 40_000,
}

interface Said {
  /** Counts from the guest's first byte. */
  readonly from: number
  readonly length: number
  readonly flags: number
  readonly broken: boolean
}

/** Every byte says where in the stream it is. */
function byteAt(index: number): number {
  return (index * 7) & 0xff
}

function frameOf(guest: GuestByHand, { from, length, flags, broken }: Said): Uint8Array {
  const { memory } = guest
  const headers = new TcpHeaders(ENDS)
  const payload = new Parts()
  const address = memory.allocate(length)
  memory.write(
    Uint8Array.from({ length }, (_, index) => byteAt(from + index)),
    0,
    length,
    address,
  )
  payload.push(address, length)
  const sequence = (FIRST + 1 + from) >>> 0
  headers.put({ sequence, acknowledgement: (guest.first + 1) >>> 0, flags, window: 1000 })
  headers.finish(guest.link, length, length, payload)
  const bytes = new Uint8Array(headers.length + length)
  bytes.set(headers.bytes.subarray(0, headers.length))
  memory.read(address, length, bytes, headers.length)
  memory.free(address, length)
  if (broken) bytes[bytes.length - 1] = ~(bytes.at(-1) ?? 0)
  return bytes
}

/** Says all of it, a turn at a time, and tells what came of it on both sides. */
function cameOf(turns: readonly (readonly Said[])[], gathers: boolean, room: number) {
  const guest = new GuestByHand({ room })
  const { memory, flows, link, stream } = guest
  guest.handshake()
  const gather = new Gather()
  const view = ip.ipView()
  const take = (frame: Frame | undefined): void => {
    if (frame === undefined) return
    const parsed = ip.parse(
      frame.bytes,
      frame.at + ethernet.HEADER,
      frame.at + frame.head,
      frame.at + frame.length,
      view,
    )
    expect(typeof parsed).toBe("object")
    flows.onPacket(link, frame, view, GUEST_MAC, GATEWAY_MAC)
  }
  for (const turn of turns) {
    const places: (readonly [number, number])[] = []
    for (const said of turn) {
      const bytes = frameOf(guest, said)
      const frame = new Frame()
      const address = memory.allocate(bytes.length)
      places.push([address, bytes.length])
      memory.write(bytes, 0, bytes.length, address)
      frame.bytes = bytes
      frame.head = bytes.length
      frame.length = bytes.length
      frame.parts.push(address, bytes.length)
      if (gathers && gather.join(frame, memory)) continue
      take(gather.take())
      if (!gathers || !gather.keep(frame, memory)) take(frame)
    }
    take(gather.take())
    flows.settle()
    for (const [address, length] of places) memory.free(address, length)
    // An acknowledgement may wait a millisecond, and does where what came twice was joined with what is new.
    guest.pass(3)
  }
  const { badChecksum } = flows.counters
  const { atMs: _, ...told } = guest.take().at(-1) ?? { atMs: 0 }
  const result = { got: Buffer.concat(stream.got).toString("hex"), told, badChecksum, states: guest.states }
  expect(guest.close()).toBe(0)
  return result
}

describe("TcpFlows", () => {
  it("takes segments that were joined as it takes them one by one", () => {
    const said = fc.record({
      from: fc.nat(8),
      length: fc.integer({ min: 1, max: 600 }),
      flags: fc.constantFrom(ACK, ACK, ACK, ACK | PSH, ACK | FIN),
      broken: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.constant(true)),
      /** Goes on where the one before ended, mostly. */
      follows: fc.oneof({ weight: 6, arbitrary: fc.constant(true) }, fc.constant(false)),
    })
    const turns = fc.array(fc.array(said, { minLength: 1, maxLength: 12 }), { maxLength: 6 })
    fc.assert(
      fc.property(turns, fc.constantFrom(1 << 20, 3000), (all, room) => {
        let next = 0
        const placed = all.map((turn) =>
          turn.map(({ from, length, flags, broken, follows }) => {
            const start = follows ? next : from * 300
            next = start + length
            return { from: start, length, flags, broken }
          }),
        )
        expect(cameOf(placed, true, room)).toEqual(cameOf(placed, false, room))
      }),
    )
  })
})
