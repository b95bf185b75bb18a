import * as sys from "@skep/loop/sys"
import { features } from "@skep/vhost-user"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { GSO_TCP6, NO_OFFLOADS, Parts } from "../../src/index.ts"
import { type NetRig, openNet, pattern } from "./rig.ts"

const MRG_RXBUF = 1n << 15n
const HEAD = 54

/** Fills what was lent, as one read of many frames does. */
function fill({ link, memory }: NetRig, bytes: Uint8Array): void {
  let done = 0
  for (let index = 0; index < link.lent.count && done < bytes.length; index++) {
    const part = Math.min(link.lent.lengthAt(index), bytes.length - done)
    memory.write(bytes, done, part, link.lent.addressAt(index))
    done += part
  }
  expect(done).toBe(bytes.length)
}

/** The frames that came, headers and payload. */
function received(rig: NetRig): readonly Uint8Array[] {
  rig.settle()
  return rig.driver.receive().map(({ bytes }) => Uint8Array.from(bytes))
}

function offer(rig: NetRig, count: number, ...lengths: readonly number[]): void {
  for (let index = 0; index < count; index++) expect(rig.driver.offer(...lengths)).toBe(true)
  rig.refill()
}

const frame = (head: Uint8Array, payload: Uint8Array): Uint8Array => Uint8Array.from([...head, ...payload])

describe("send", () => {
  test("puts headers alone into a buffer", () => {
    using rig = openNet()
    offer(rig, 1, 1536)
    expect(rig.link.send(pattern(100), 20, 60)).toBe(true)
    expect(received(rig)).toEqual([pattern(100).subarray(20, 80)])
    expect(rig.link.counters).toMatchObject({ framesOut: 1, bytesOut: 60, droppedOut: 0 })
  })

  test.each([
    ["one buffer", [1, 4096]],
    ["buffers of 1536 bytes", [8, 1536]],
    ["buffers in pieces", [8, 5, 12, 300, 64]],
    ["many small buffers", [64, 77]],
  ] as const)("copies payload in several parts into %s", (_what, [count, ...lengths]) => {
    using rig = openNet({ driver: { size: 64 } })
    offer(rig, Math.min(count, Math.floor(64 / lengths.length)), ...lengths)
    const payload = pattern(2500, 3)
    const address = rig.ram.allocate(2500)
    rig.ram.bytes(address, 2500).set(payload)
    const parts = new Parts()
    const [, region] = rig.ram.regions
    const base = (region?.mapping.address ?? 0) + address - (region?.guestAddress ?? 0)
    for (const [from, to] of [
      [0, 1],
      [1, 900],
      [900, 2500],
    ] as const)
      parts.push(base + from, to - from)
    expect(rig.link.send(pattern(HEAD), 0, HEAD, parts)).toBe(true)
    expect(received(rig)).toEqual([frame(pattern(HEAD), payload)])
  })

  test("of headers alone takes frames of any length", () => {
    using rig = openNet()
    offer(rig, 40, 2000)
    const long = pattern(65_549)
    expect(rig.link.send(long, 0, long.length)).toBe(true)
    expect(received(rig)).toEqual([long])
  })

  test("drops, counts, and tells when there is room", () => {
    using rig = openNet()
    expect(rig.link.send(pattern(60), 0, 60)).toBe(false)
    expect(rig.link.counters.droppedOut).toBe(1)
    expect(rig.receiver.told).toEqual(["up"])
    rig.driver.offer(100)
    expect(rig.refill()).toBe(true)
    expect(rig.receiver.told).toEqual(["up", "room"])
    expect(rig.link.send(pattern(60), 0, 60)).toBe(true)
    expect(received(rig)).toHaveLength(1)
  })

  test("says what is left to be done", () => {
    using rig = openNet()
    offer(rig, 1, 1536)
    const offload = {
      checksumStart: 54,
      checksumOffset: 16,
      gso: GSO_TCP6,
      segmentSize: 1440,
      headerLength: 74,
    }
    rig.link.send(pattern(90), 0, 90, undefined, offload)
    rig.settle()
    const [got] = rig.driver.receive()
    expect(got?.header).toEqual({
      flags: 1,
      gso: 4,
      headerLength: 74,
      segmentSize: 1440,
      checksumStart: 54,
      checksumOffset: 16,
    })
    expect(got?.buffers).toBe(1)
  })

  test("many times calls the guest once, and not at all when nobody wants a kick", () => {
    using rig = openNet()
    offer(rig, 40, 1536)
    rig.driver.rx.calls()
    for (let index = 0; index < 30; index++) rig.link.send(pattern(60, index), 0, 60)
    rig.settle()
    expect(rig.driver.rx.calls()).toBe(1)
    expect(rig.driver.receive()).toHaveLength(30)
    rig.driver.offerAgain()
    expect(rig.driver.rx.kick()).toBe(false)
  })

  test("from a later hook of the batch is let go as well, before the loop waits", () => {
    using rig = openNet()
    offer(rig, 2, 1536)
    let sent = false
    let called = false
    rig.driver.rx.calls()
    rig.loop.onBatchEnd(() => {
      if (!sent) rig.link.send(pattern(60), 0, 60)
      sent = true
    })
    rig.loop.add(rig.driver.rx.callFd, sys.EPOLLIN, () => {
      called = true
      rig.loop.stop()
    })
    rig.loop.defer(() => undefined) // something happens, once
    rig.loop.timer(() => rig.loop.stop()).after(5000)
    rig.loop.run()
    expect(called).toBe(true)
    expect(rig.driver.receive()).toHaveLength(1)
  })
})

describe("lend", () => {
  test("gives the places of several frames, which one read fills", () => {
    using rig = openNet()
    offer(rig, 60, 1536)
    for (let index = 0; index < 3; index++) expect(rig.link.lend(HEAD, 20_000)).toBe(true)
    expect(rig.link.lent.bytes).toBe(60_000)
    const payload = pattern(60_000)
    fill(rig, payload)
    for (let index = 0; index < 3; index++) rig.link.use(pattern(HEAD, index), 0, HEAD, 20_000)
    rig.link.unlend()
    expect(rig.link.lent.count).toBe(0)
    expect(received(rig)).toEqual(
      [0, 1, 2].map((index) =>
        frame(pattern(HEAD, index), payload.subarray(index * 20_000, (index + 1) * 20_000)),
      ),
    )
  })

  test("takes back what was not used, and the guest sees nothing of it", () => {
    using rig = openNet()
    offer(rig, 60, 1536)
    expect(rig.link.spareBuffers).toBe(60)
    for (let index = 0; index < 3; index++) rig.link.lend(HEAD, 20_000)
    expect(rig.link.spareBuffers).toBe(60 - 3 * 14)
    fill(rig, pattern(25_000))
    rig.link.use(pattern(HEAD), 0, HEAD, 20_000)
    rig.link.use(pattern(HEAD), 0, HEAD, 5000)
    rig.link.unlend()
    rig.settle()
    expect(rig.driver.receive().map(({ buffers, bytes }) => [buffers, bytes.length])).toEqual([
      [14, 20_054],
      [4, 5054],
    ])
    expect(rig.link.spareBuffers).toBe(60 - 18)
    // All the rest can still be used.
    for (let index = 0; index < 42; index++) expect(rig.link.send(pattern(60, index), 0, 60)).toBe(true)
    expect(received(rig)).toEqual(Array.from({ length: 42 }, (_, index) => pattern(60, index)))
  })

  test("where the first frame becomes shorter, the next ones are where they were lent", () => {
    using rig = openNet()
    offer(rig, 30, 700, 300)
    rig.link.lend(HEAD, 5000)
    rig.link.lend(HEAD, 3000)
    fill(rig, pattern(8000))
    rig.link.use(pattern(HEAD), 0, HEAD, 100)
    rig.link.use(pattern(HEAD, 2), 0, HEAD, 3000)
    rig.link.unlend()
    rig.settle()
    const got = rig.driver.receive()
    expect(got.map(({ bytes }) => Uint8Array.from(bytes))).toEqual([
      frame(pattern(HEAD), pattern(8000).subarray(0, 100)),
      frame(pattern(HEAD, 2), pattern(8000).subarray(5000)),
    ])
    expect(got[0]?.buffers).toBe(6)
  })

  test.each([1, 12, 40])("with headers %i bytes shorter has its payload behind them", (less) => {
    using rig = openNet()
    offer(rig, 20, 50, 30, 200)
    rig.link.lend(HEAD, 5)
    rig.link.lend(HEAD, 1000)
    fill(rig, pattern(1005))
    rig.link.use(pattern(HEAD), 0, HEAD - less, 5)
    rig.link.use(pattern(HEAD, 2), 0, HEAD - less, 900)
    rig.link.unlend()
    expect(received(rig)).toEqual([
      frame(pattern(HEAD - less), pattern(1005).subarray(0, 5)),
      frame(pattern(HEAD, 2).subarray(0, HEAD - less), pattern(1005).subarray(5, 905)),
    ])
  })

  test("is not disturbed by what is sent meanwhile", () => {
    using rig = openNet()
    offer(rig, 30, 1000)
    rig.link.lend(HEAD, 5000)
    rig.link.lend(HEAD, 5000)
    expect(rig.link.send(pattern(60), 0, 60)).toBe(true)
    rig.link.flush()
    expect(rig.driver.receive()).toEqual([])
    fill(rig, pattern(1500))
    rig.link.use(pattern(HEAD), 0, HEAD, 1500)
    rig.link.unlend()
    expect(received(rig)).toEqual([pattern(60), frame(pattern(HEAD), pattern(1500))])
    offer(rig, 10, 1000)
    rig.link.lend(HEAD, 5000)
    expect(rig.link.send(pattern(70), 0, 70)).toBe(true)
    rig.link.unlend()
    expect(received(rig)).toEqual([pattern(70)])
  })

  test("says no where there is not room for all, takes nothing, and tells when there is", () => {
    using rig = openNet()
    offer(rig, 10, 1000)
    expect(rig.link.lend(HEAD, 20_000)).toBe(false)
    expect(rig.link.lent.count).toBe(0)
    expect(rig.link.spareBuffers).toBe(10)
    expect(rig.link.lend(HEAD, 9000)).toBe(true)
    rig.link.unlend()
    rig.settle()
    // The buffers that were lent are back, so whoever found none is to look again.
    expect(rig.receiver.told).toEqual(["up", "room"])
    expect(rig.link.lend(HEAD, 20_000)).toBe(false)
    rig.settle()
    expect(rig.receiver.told).toHaveLength(2)
    for (let index = 0; index < 12; index++) rig.driver.offer(1000)
    expect(rig.refill()).toBe(true)
    expect(rig.receiver.told).toEqual(["up", "room", "room"])
    expect(rig.link.lend(HEAD, 20_000)).toBe(true)
    rig.link.unlend()
    // Nobody waits, so no kick is wanted.
    rig.driver.offer(1000)
    expect(rig.refill()).toBe(false)
  })

  test("looks again at once at buffers that were put back", () => {
    using rig = openNet()
    offer(rig, 10, 1000)
    expect(rig.link.lend(HEAD, 6000)).toBe(true)
    expect(rig.link.lend(HEAD, 6000)).toBe(false)
    rig.link.unlend()
    expect(rig.link.lend(HEAD, 6000)).toBe(true)
    rig.link.unlend()
  })

  test("joins buffers that lie side by side, within a frame", () => {
    using rig = openNet()
    const heads = rig.ram.allocate(12 + HEAD)
    const room = rig.ram.allocate(4000)
    for (let index = 0; index < 4; index++) {
      const payload = { address: room + index * 1000, length: 1000, writable: true }
      const head = { address: heads, length: 12 + HEAD, writable: true }
      rig.driver.rx.offer(index % 2 === 0 ? [head, payload] : [payload])
    }
    rig.refill()
    expect(rig.link.lend(HEAD, 2000)).toBe(true)
    expect(rig.link.lend(HEAD, 2000)).toBe(true)
    const { lent } = rig.link
    expect(lent.lengths.slice(0, lent.count)).toEqual([2000, 2000])
    expect(rig.link.lend(HEAD, 1)).toBe(false)
    expect([lent.count, lent.bytes]).toEqual([2, 4000])
    rig.link.unlend()
  })

  test("asks for kicks with flags where there are no event indices", () => {
    using rig = openNet({ without: features.VIRTIO_RING_F_EVENT_IDX })
    expect(rig.link.lend(HEAD, 100)).toBe(false)
    rig.driver.offer(1000)
    expect(rig.refill()).toBe(true)
    expect(rig.receiver.told).toEqual(["up", "room"])
    rig.driver.offer(1000)
    expect(rig.refill()).toBe(false)
  })

  test("throws for what was not lent", () => {
    using rig = openNet()
    offer(rig, 10, 1000)
    expect(() => rig.link.use(pattern(HEAD), 0, HEAD, 10)).toThrow(RangeError)
    rig.link.lend(HEAD, 100)
    expect(() => rig.link.use(pattern(HEAD + 1), 0, HEAD + 1, 10)).toThrow(RangeError)
    expect(() => rig.link.use(pattern(HEAD), 0, HEAD, 2000)).toThrow(RangeError)
  })
})

describe("a driver without merged buffers", () => {
  test("gets each frame in one buffer, or waits for a larger one", () => {
    using rig = openNet({ without: MRG_RXBUF })
    expect(rig.link.offloads).toEqual({ checksum: true, tcp4: true, tcp6: true })
    for (let index = 0; index < 4; index++) rig.driver.offer(12, 2000, 30_000)
    rig.refill()
    rig.link.lend(HEAD, 1460)
    rig.link.lend(HEAD, 30_000)
    fill(rig, pattern(20_000))
    rig.link.use(pattern(HEAD), 0, HEAD, 1000)
    rig.link.use(pattern(HEAD), 0, HEAD, 18_540)
    rig.link.unlend()
    expect(received(rig).map(({ length }) => length)).toEqual([1054, 18_594])
    expect(rig.link.lend(HEAD, 40_000)).toBe(false)
    expect(rig.link.lend(HEAD, 30_000)).toBe(true)
    rig.link.unlend()
    expect(rig.link.spareBuffers).toBe(2)
  })
})

describe("what the driver finishes for us", () => {
  const [GUEST_CSUM, TSO4, TSO6] = [1n << 1n, 1n << 7n, 1n << 8n]
  test.each([
    [0n, { checksum: true, tcp4: true, tcp6: true }],
    [TSO6, { checksum: true, tcp4: true, tcp6: false }],
    [TSO4, { checksum: true, tcp4: false, tcp6: true }],
    [GUEST_CSUM, NO_OFFLOADS],
    [GUEST_CSUM | TSO4 | TSO6, NO_OFFLOADS],
  ])("without features %s", (without, offloads) => {
    using rig = openNet({ without })
    expect(rig.link.offloads).toEqual(offloads)
  })
})

test("frames of any size come as they were, through buffers of any size, with any part of them used", () => {
  const round = fc.record({
    lent: fc.array(
      fc.record({
        payload: fc.integer({ min: 0, max: 6000 }),
        used: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      { maxLength: 5 },
    ),
    /** How many of them are used. */
    using: fc.integer({ min: 0, max: 5 }),
    sends: fc.array(fc.integer({ min: 14, max: 3000 }), { maxLength: 3 }),
    between: fc.boolean(),
    buffers: fc.array(fc.array(fc.integer({ min: 1, max: 4096 }), { minLength: 1, maxLength: 3 }), {
      maxLength: 12,
    }),
  })
  fc.assert(
    fc.property(fc.array(round, { maxLength: 25 }), fc.boolean(), (rounds, eventIndex) => {
      const without = eventIndex ? 0n : features.VIRTIO_RING_F_EVENT_IDX
      using rig = openNet({ without, driver: { size: 32 }, ram: { sizes: [1 << 20, 8 << 20] } })
      const { link, driver } = rig
      for (const { lent, using: uses, sends, between, buffers } of rounds) {
        for (const lengths of buffers) driver.offer(...lengths)
        rig.refill()
        const wanted: Uint8Array[] = []
        const sendAll = (): void => {
          for (const length of sends) if (link.send(pattern(length), 0, length)) wanted.push(pattern(length))
        }
        const spare = link.spareBuffers
        const got = lent.filter(({ payload }) => link.lend(HEAD, payload))
        const payload = pattern(link.lent.bytes, 5)
        fill(rig, payload)
        if (between) sendAll()
        let at = 0
        for (const [index, each] of got.slice(0, uses).entries()) {
          const used = Math.round(each.used * each.payload)
          link.use(pattern(HEAD, index), 0, HEAD, used)
          wanted.push(frame(pattern(HEAD, index), payload.subarray(at, at + used)))
          at += each.payload
        }
        link.unlend()
        if (!between) sendAll()
        rig.settle()
        const frames = driver.receive()
        expect(frames.map(({ bytes }) => Uint8Array.from(bytes))).toEqual(wanted)
        // Nothing stays with us, nothing is lost.
        expect(link.spareBuffers + frames.reduce((sum, each) => sum + each.buffers, 0)).toBe(spare)
        expect(rig.connection.session.queues.map(({ inFlight }) => inFlight)).toEqual([0, 0])
        driver.offerAgain()
      }
    }),
    { numRuns: 60 },
  )
})
