/**
 * A guest that says anything: whatever comes, numbers stay in order, windows are kept, answers are bounded, and all memory comes back.
 *
 * @module
 */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ACK, FIN, RST, SYN } from "../../src/tcp/connection.ts"
import { GuestByHand, type Said } from "../rig/guest-by-hand.ts"
import { noise, randomOf, TwoEnds } from "../rig/two-ends.ts"

const CAPACITY = 16_384
/** Segments a segment may be answered with: a window of the smallest ones, and what a timer brings. */
const ANSWERS = CAPACITY / 64 + 8

type Act = Said & { readonly wait: number; readonly drain: number; readonly speak: number }

function check(guest: GuestByHand, edge: { right: number }): void {
  for (const flow of guest.flows.table.all()) {
    const { connection } = flow
    if (connection === undefined) continue
    const { send, receive } = connection
    expect((send.nxt - send.una) | 0).toBeGreaterThanOrEqual(0)
    expect(receive.room).toBeGreaterThanOrEqual(0)
    expect(receive.room).toBeLessThanOrEqual(0x10000 * 2)
    expect(flow.keptBytes).toBeLessThanOrEqual(2 * 65_535)
  }
  const heard = guest.take()
  expect(heard.length).toBeLessThanOrEqual(ANSWERS)
  for (const { flags, acknowledgement, window } of heard) {
    if (flags.includes("rst") || flags.includes("syn")) continue
    // RFC 9293, section 3.8.6: the right edge of the window is never taken back.
    expect(acknowledgement + window).toBeGreaterThanOrEqual(edge.right)
    edge.right = acknowledgement + window
  }
}

function play(acts: Iterable<Act>): void {
  const guest = new GuestByHand({ says: noise(8192, 5), capacity: CAPACITY, room: 4096 })
  const before = guest.memory.inUse
  const edge = { right: Number.NEGATIVE_INFINITY }
  let flow: unknown
  guest.handshake(4000)
  for (const act of acts) {
    if (guest.flows.table.size === 0) guest.handshake(4000)
    const now = guest.flows.table.all()[0]
    if (flow !== now) edge.right = Number.NEGATIVE_INFINITY
    flow = now
    guest.say(act)
    if (act.drain > 0) guest.stream.drain(act.drain)
    if (act.speak > 0) guest.stream.say(noise(act.speak, 1))
    guest.pass(act.wait)
    if (guest.flows.table.all()[0] !== flow) edge.right = Number.NEGATIVE_INFINITY
    check(guest, edge)
  }
  guest.flows.stop()
  // What the cable has lent out stays with the cable.
  expect(guest.memory.inUse - before).toBeLessThan(300 * (65_536 + 256))
  expect(guest.close()).toBe(0)
}

const near = fc.oneof(
  fc.integer({ min: -5, max: 60 }),
  fc.integer({ min: -70_000, max: 70_000 }),
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 }),
)
const said: fc.Arbitrary<Act> = fc.record({
  flags: fc.oneof(fc.constant(ACK), fc.constantFrom(SYN, FIN | ACK, RST, SYN | ACK, 0), fc.nat(63)),
  sequence: near,
  acknowledgement: near,
  window: fc.oneof(fc.nat(10), fc.nat(65_535)),
  mss: fc.nat(2000),
  data: fc.oneof(
    fc.constant(new Uint8Array(0)),
    fc.nat(3000).map((length) => new Uint8Array(length)),
  ),
  sacks: fc.array(fc.record({ start: near, end: near }), { maxLength: 4 }),
  wait: fc.oneof(fc.nat(5), fc.nat(100_000)),
  drain: fc.nat(2000),
  speak: fc.nat(1000),
})

describe("a guest that says anything", () => {
  it("harms nobody", () => {
    fc.assert(
      fc.property(fc.array(said, { maxLength: 60 }), (acts) => play(acts)),
      { numRuns: 150 },
    )
  })

  it("harms nobody in a long run of segments that nearly fit", () => {
    const random = randomOf(77)
    const upTo = (most: number) => Math.floor(random() * most)
    const acts = Array.from({ length: 10_000 }, (): Act => {
      const fits = random() < 0.9
      const from = fits ? upTo(9000) : upTo(2 ** 31)
      const flag = random()
      return {
        flags: flag < 0.9 ? ACK : flag < 0.95 ? ACK | FIN : flag < 0.96 ? RST : upTo(64),
        sequence: fits ? upTo(20_000) : from,
        acknowledgement: from,
        window: upTo(3) * upTo(4000),
        data: new Uint8Array(upTo(3) * upTo(1400)),
        sacks: random() < 0.3 ? [{ start: from + upTo(3000), end: from + upTo(6000) }] : [],
        wait: random() < 0.05 ? upTo(5000) : upTo(3),
        drain: upTo(500),
        speak: random() < 0.05 ? upTo(3000) : 0,
      }
    })
    play(acts)
  })
})

describe("two ends", () => {
  it("that have nothing to say are silent", () => {
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.nat(),
          loss: fc.constantFrom(0, 0.05, 0.3),
          duplicate: fc.constantFrom(0, 0.3),
          reorder: fc.constantFrom(0, 0.3),
          delayMs: fc.constantFrom(0.1, 10, 100),
          roomA: fc.constantFrom(0, 10_000, 1_000_000),
        }),
        ({ seed, roomA, ...impairment }) => {
          const says = noise(100_000, seed)
          const two = new TwoEnds({ seed, impairment, fromA: says, fromB: says, roomA, capacity: 30_000 })
          two.run(120_000)
          const before = two.cable.map(({ counters }) => counters.framesOut)
          // A window that is closed is asked for; nothing else is ever said.
          two.run(180_000)
          const said = two.cable.map(({ counters }, index) => counters.framesOut - (before[index] ?? 0))
          expect(Math.max(...said)).toBeLessThan(30)
          two.a.stop()
          two.b.stop()
          for (const end of two.cable) end[Symbol.dispose]()
          expect(two.memory.inUse).toBe(0)
        },
      ),
      { numRuns: 15 },
    )
  })
})
