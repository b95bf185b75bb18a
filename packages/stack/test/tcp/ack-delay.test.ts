/**
 * How long an acknowledgement waits for data that carries it (RFC 9293, section 3.8.6.3).
 *
 * @module
 */
import { describe, expect, it } from "vitest"
import { AckDelay } from "../../src/tcp/ack-delay.ts"
import { ACK } from "../../src/tcp/connection.ts"
import { GuestByHand } from "../rig/guest-by-hand.ts"
import { noise } from "../rig/two-ends.ts"

const SEGMENT = 1000

/** Each of the guest's pieces is answered so late, after its acknowledgement where that did not wait. Returns how long each acknowledgement waited. */
function waits(answersMs: readonly number[]): number[] {
  const delay = new AckDelay(0)
  return answersMs.map((answerMs, index) => {
    const now = 10_000 * index
    const next = 10 * (index + 1)
    delay.received(next, SEGMENT, now)
    const waited = Math.max(0, Math.min(delay.at - now, answerMs))
    if (waited < answerMs) delay.told(next, false, now + waited)
    delay.told(next, true, now + answerMs)
    return waited
  })
}

describe("an acknowledgement", () => {
  it("is due only when something came, and once", () => {
    const delay = new AckDelay(7)
    expect(delay.at).toBe(Number.POSITIVE_INFINITY)
    delay.received(8, SEGMENT, 100)
    expect(delay.at).toBe(101)
    delay.received(9, SEGMENT, 100.5)
    expect(delay.at).toBe(101)
    delay.told(9, true, 100.6)
    expect(delay.at).toBe(Number.POSITIVE_INFINITY)
  })

  it("does not wait with two whole segments (MUST-58), nor when it is wanted now", () => {
    const delay = new AckDelay(0xffff_fff0)
    delay.received((0xffff_fff0 + 2 * SEGMENT - 1) >>> 0, SEGMENT, 100)
    expect(delay.at).toBe(101)
    delay.received((0xffff_fff0 + 2 * SEGMENT) >>> 0, SEGMENT, 100)
    expect(delay.at).toBeLessThanOrEqual(100)
    delay.told((0xffff_fff0 + 2 * SEGMENT) >>> 0, false, 100)
    delay.now()
    expect(delay.at).toBeLessThanOrEqual(100)
  })

  it("waits for as long as the host answers soon", () => {
    expect(waits([0.1, 0.1, 0.1, 0.1])).toEqual([0.1, 0.1, 0.1, 0.1])
  })

  it("does not wait for a host that answers late, until it answers soon again", () => {
    expect(waits([5, 5, 5])).toEqual([1, 0, 0])
    expect(waits([5, 0.1, 0.1, 0.1])).toEqual([1, 0, 0, 0.1])
  })

  it("does not wait for a guest that has more to say first (RFC 896)", () => {
    const delay = new AckDelay(0)
    let next = 0
    const waited: number[] = []
    // The head, which waits for its acknowledgement; then the body, which the host answers.
    for (let now = 0; now < 100_000; now += 10_000) {
      delay.received(++next, SEGMENT, now)
      const at = Math.max(now, delay.at)
      waited.push(at - now)
      delay.told(next, false, at)
      delay.received(++next, SEGMENT, at + 0.1)
      if (delay.at <= at + 0.1) delay.told(next, false, at + 0.1)
      delay.told(next, true, at + 0.2)
    }
    expect(waited).toEqual([1, ...Array.from({ length: 9 }, () => 0)])
  })
})

describe("a guest's question", () => {
  it("is acknowledged by its answer alone", () => {
    const guest = new GuestByHand()
    guest.handshake()
    for (let count = 0; count < 5; count++) {
      guest.say({ flags: ACK, sequence: 1 + 10 * count, acknowledgement: 1 + count, data: noise(10, 1) }, 0.5)
      expect(guest.take()).toEqual([])
      guest.stream.say(noise(1, 2))
      guest.pass(5)
      expect(guest.take()).toMatchObject([
        { flags: "psh ack", sequence: 1 + count, acknowledgement: 11 + 10 * count, length: 1 },
      ])
    }
    expect(guest.close()).toBe(0)
  })

  it("is acknowledged by itself where the answer takes longer, and the next at once", () => {
    const guest = new GuestByHand()
    guest.handshake()
    const began = guest.clock.now()
    guest.say({ flags: ACK, data: noise(10, 1) })
    expect(guest.take()).toMatchObject([{ acknowledgement: 11, length: 0 }])
    expect(guest.clock.now() - began).toBeGreaterThan(1)
    guest.say({ flags: ACK, sequence: 11, data: noise(10, 1) }, 0.5)
    expect(guest.take()).toMatchObject([{ acknowledgement: 21, length: 0 }])
    expect(guest.close()).toBe(0)
  })
})
