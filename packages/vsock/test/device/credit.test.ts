import { describe, expect, it } from "vitest"
import { Credit } from "../../src/device/credit.ts"
import { packetView } from "../../src/device/packet.ts"

const NEARLY = 2 ** 32 - 10

/** With all counters at `at`. */
function creditAt(at: number): Credit {
  const credit = new Credit(2 ** 32 - 1)
  credit.onPeer(2 ** 32 - 1, 0)
  credit.onReceived(at)
  credit.onForwarded(at)
  credit.onSent(at)
  credit.onPeer(100, at)
  credit.stamp(packetView())
  return credit
}

describe("Credit", () => {
  it("has nothing free before the guest told", () => {
    expect(new Credit(100).free).toBe(0)
  })

  it("counts what is sent and what the guest took, across 2^32", () => {
    const credit = creditAt(NEARLY)
    expect(credit.free).toBe(100)
    credit.onSent(60)
    expect(credit.free).toBe(40)
    expect(credit.onPeer(100, (NEARLY + 30) >>> 0)).toBe(true)
    expect(credit.free).toBe(70)
    expect(credit.onPeer(100, (NEARLY + 60) >>> 0)).toBe(true)
    expect(credit.free).toBe(100)
  })

  it("has nothing free when the guest shrinks its buffer below what is in flight", () => {
    const credit = creditAt(0)
    credit.onSent(60)
    credit.onPeer(50, 0)
    expect(credit.free).toBe(0)
    credit.onPeer(50, 20)
    expect(credit.free).toBe(10)
  })

  it("passes over an older fwd_cnt, across 2^32 too", () => {
    for (const at of [0, NEARLY]) {
      const credit = creditAt(at)
      credit.onSent(60)
      credit.onPeer(100, (at + 50) >>> 0)
      expect(credit.onPeer(7, (at + 20) >>> 0)).toBe(true)
      expect(credit.free).toBe(90)
    }
  })

  it("does not believe in bytes that were never sent", () => {
    for (const at of [0, NEARLY]) {
      const credit = creditAt(at)
      credit.onSent(60)
      expect(credit.onPeer(100, (at + 61) >>> 0)).toBe(false)
      expect(credit.free).toBe(40)
    }
  })

  it("takes as much as it has room for, and not a byte more", () => {
    const credit = new Credit(100)
    expect(credit.onReceived(100)).toBe(true)
    expect(credit.onReceived(1)).toBe(false)
    credit.onForwarded(30)
    expect(credit.undelivered).toBe(70)
    expect(credit.onReceived(31)).toBe(false)
    expect(credit.onReceived(30)).toBe(true)
  })

  it("tells bufAlloc and what was forwarded, modulo 2^32", () => {
    const credit = creditAt(NEARLY)
    credit.onReceived(15)
    credit.onForwarded(15)
    const header = packetView()
    credit.stamp(header)
    expect(header).toMatchObject({ bufAlloc: 2 ** 32 - 1, fwdCnt: 5 })
  })

  it("is due to tell at a quarter of the smaller buffer", () => {
    for (const [ours, theirs] of [
      [400, 80],
      [80, 400],
    ] as const) {
      const credit = new Credit(ours)
      credit.onPeer(theirs, 0)
      credit.onReceived(40)
      credit.onForwarded(19)
      expect(credit.updateDue).toBe(false)
      credit.onForwarded(1)
      expect(credit.updateDue).toBe(true)
      credit.stamp(packetView())
      expect(credit.updateDue).toBe(false)
    }
  })

  it("is never due with nothing to tell", () => {
    const credit = new Credit(3)
    credit.onPeer(0, 0)
    expect(credit.updateDue).toBe(false)
    credit.onReceived(1)
    credit.onForwarded(1)
    expect(credit.updateDue).toBe(true)
  })
})
