/**
 * When writes are left to the pool.
 *
 * @module
 */
import { beforeEach, describe, expect, it } from "vitest"
import { SlowDevice } from "../../src/passthrough/slow-device.ts"

let device: SlowDevice
let waits: number
let asked: number
let now: number

beforeEach(() => {
  waits = 0
  asked = 0
  now = 10_000
  device = new SlowDevice(() => {
    asked++
    return waits
  })
})

/** A write of so many milliseconds. */
function write(ms: number, waited = 0): void {
  device.begin(now)
  now += ms
  waits += waited
  device.end(now)
}

describe("SlowDevice", () => {
  it("asks nothing while writes are short", () => {
    for (let index = 0; index < 100; index++) write(1, 1)
    expect(asked).toBe(0)
    expect(device.isSlow(now)).toBe(false)
  })

  it("suspects at a long write, and knows at the next one that waited", () => {
    write(100, 1)
    expect(device.isSlow(now)).toBe(false)
    write(1)
    write(100, 1)
    expect(device.isSlow(now)).toBe(true)
    expect(device.isSlow(now + 999)).toBe(true)
    expect(device.isSlow(now + 1000)).toBe(false)
  })

  it("takes no write for slow that only lost the processor", () => {
    for (let index = 0; index < 50; index++) write(20)
    expect(device.isSlow(now)).toBe(false)
  })

  it("trusts again after a second", () => {
    write(100, 1)
    now += 1000
    write(100, 1)
    expect(device.isSlow(now)).toBe(false)
    const before = asked
    now += 1000
    write(1)
    expect(asked).toBe(before)
  })
})
