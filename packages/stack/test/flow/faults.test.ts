/**
 * Exceptions of ours in a connection, put there by the host's side of it: they cost that connection, and no other.
 *
 * @module
 */
import type { Outlet } from "@skep/link"
import { describe, expect, it } from "vitest"
import type { HostStream } from "../../src/host/host.ts"
import { ACK, FIN, SYN } from "../../src/tcp/connection.ts"
import { GuestByHand } from "../rig/guest-by-hand.ts"
import { MemoryStream } from "../rig/memory-stream.ts"

const SICK = 40_000
const WELL = 40_001
const HELLO = Buffer.from("hello")

interface Two {
  readonly guest: GuestByHand
  readonly sick: MemoryStream
  readonly well: MemoryStream
  readonly faults: unknown[]
}

/** Two connections of one machine that stand, the first of which is to be broken. */
function two(contained = true): Two {
  const faults: unknown[] = []
  const streams: MemoryStream[] = []
  const guest: GuestByHand = new GuestByHand({
    host: {
      connect: (_to, events) => {
        const stream = new MemoryStream({
          memory: guest.memory,
          says: new Uint8Array(0),
          stays: true,
          later: (callback) => guest.clock.after(0.001, callback),
        })
        stream.events = events
        streams.push(stream)
        return stream
      },
    },
    ...(contained ? { onFault: (_link: Outlet, error: unknown) => void faults.push(error) } : {}),
  })
  for (const port of [SICK, WELL]) {
    guest.say({ flags: SYN, sequence: 0, port })
    guest.say({ flags: ACK, port })
  }
  guest.take()
  const [sick, well] = streams
  if (sick === undefined || well === undefined) throw new Error("nobody has connected")
  return { guest, sick, well, faults }
}

function breaks(stream: MemoryStream, name: keyof HostStream): void {
  Object.assign(stream, {
    [name]: () => {
      throw new Error(name)
    },
  })
}

/** What makes each of a stream's calls. */
const CALLS: readonly (readonly [keyof HostStream, (two: Two) => void])[] = [
  ["write", ({ guest }) => guest.say({ flags: ACK, data: HELLO, port: SICK })],
  [
    "peek",
    ({ guest, sick }) => {
      sick.say(HELLO)
      guest.pass(1)
    },
  ],
  [
    "discard",
    ({ guest, sick }) => {
      sick.say(HELLO)
      guest.pass(1)
      guest.say({ flags: ACK, acknowledgement: 6, port: SICK })
    },
  ],
  ["endWrites", ({ guest }) => guest.say({ flags: FIN | ACK, port: SICK })],
]

describe("an exception in a connection", () => {
  it.each(CALLS)("at %s() ends it both ways, and no other", (name, call) => {
    const it = two()
    const { guest, sick, well, faults } = it
    breaks(sick, name)
    call(it)
    expect(faults).toEqual([new Error(name)])
    expect(guest.flows.counters.faults).toBe(1)
    expect(guest.take().some(({ flags }) => flags.includes("rst"))).toBe(true)
    expect(sick.closed).toBe("abort")
    expect(guest.flows.table.size).toBe(1)
    guest.say({ flags: ACK, data: HELLO, port: WELL })
    expect(Buffer.concat(well.got)).toEqual(HELLO)
    well.say(HELLO)
    guest.pass(1)
    expect(guest.take().map(({ length }) => length)).toEqual([0, 5])
    expect(guest.close()).toBe(0)
  })

  it("ends it although nothing of it can be ended", () => {
    const { guest, sick, faults } = two()
    breaks(sick, "write")
    breaks(sick, "abort")
    guest.say({ flags: ACK, data: HELLO, port: SICK })
    expect(faults).toEqual([new Error("write")])
    expect(guest.flows.table.size).toBe(1)
    expect(guest.close()).toBe(0)
  })

  it("in the driver of its stream ends it likewise", () => {
    const { guest, sick, faults } = two()
    sick.events?.onFault(new Error("in the driver"))
    expect(faults).toEqual([new Error("in the driver")])
    expect([sick.closed, guest.flows.table.size]).toEqual(["abort", 1])
  })

  it("is thrown on where nobody wants to hear of it", () => {
    const { guest, sick } = two(false)
    breaks(sick, "write")
    expect(() => guest.say({ flags: ACK, data: HELLO, port: SICK })).toThrow("write")
  })
})
