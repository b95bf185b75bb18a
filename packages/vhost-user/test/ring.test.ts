import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { features } from "../src/index.ts"
import { passed } from "../src/ring/split-ring.ts"
import { EchoDevice } from "./echo-device.ts"
import { only, openRig, type Rig } from "./rig.ts"

const RUNS = { numRuns: 60 }

interface Wish {
  readonly data: Uint8Array
  /** Into how many pieces each side is cut. */
  readonly pieces: number
  readonly indirect: boolean
}

const wish: fc.Arbitrary<Wish> = fc.record({
  data: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  pieces: fc.integer({ min: 1, max: 4 }),
  indirect: fc.boolean(),
})

/** Offers the wish, cut into pieces. Returns what is to be compared when it comes back, or undefined where there was no room. */
function offer(rig: Rig, { data, pieces, indirect }: Wish) {
  const ring = only(rig)
  const from = rig.ram.allocate(data.length)
  const to = rig.ram.allocate(data.length)
  rig.ram.bytes(from, data.length).set(data)
  const chain = [
    ...cut(from, data.length, pieces),
    ...cut(to, data.length, pieces).map((piece) => ({ ...piece, writable: true })),
  ]
  const head = indirect ? ring.offerIndirect(chain) : ring.offer(chain)
  return head < 0 ? undefined : { head, to, data }
}

function cut(address: number, length: number, pieces: number) {
  const step = Math.ceil(length / pieces)
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => ({
    address: address + i * step,
    length: Math.min(step, length - i * step),
  }))
}

describe("a ring", () => {
  test.each([
    ["with event indices", 0n],
    ["with flags", features.VIRTIO_RING_F_EVENT_IDX],
  ])("%s gives back every chain once, with its bytes, whatever is offered when", (_what, without) => {
    fc.assert(
      fc.property(fc.array(fc.array(wish, { maxLength: 6 }), { maxLength: 20 }), (batches) => {
        using device = new EchoDevice()
        using rig = openRig(device, {
          ring: { size: 16, eventIndex: without === 0n },
          ram: { sizes: [1 << 20, 8 << 20] },
        })
        rig.front.start(rig.rings, { without })
        const ring = only(rig)
        for (const batch of batches) {
          const wanted = new Map(
            batch.flatMap((each) => {
              const offered = offer(rig, each)
              return offered === undefined ? [] : [[offered.head, offered] as const]
            }),
          )
          ring.kick()
          rig.settle()
          for (const { head, written } of ring.collect()) {
            const each = wanted.get(head)
            expect(each).toBeDefined()
            wanted.delete(head)
            if (each === undefined) continue
            expect(written).toBe(each.data.length)
            expect(rig.ram.bytes(each.to, written)).toEqual(each.data)
          }
          expect(wanted.size).toBe(0)
        }
        expect(ring.freeDescriptors).toBe(ring.size)
        expect(rig.events).toEqual([])
      }),
      RUNS,
    )
  })

  test("goes on past 65,536 chains", () => {
    using device = new EchoDevice()
    using rig = openRig(device, { ring: { size: 64 } })
    rig.front.start(rig.rings)
    const ring = only(rig)
    const at = rig.ram.allocate(8)
    let back = 0
    while (back < 70_000) {
      while (ring.offer([{ address: at, length: 8, writable: true }]) >= 0);
      ring.kick()
      rig.settle()
      back += ring.collect().length
    }
    expect(rig.connection.session.queues[0]?.chains).toBe(back)
    expect(rig.events).toEqual([])
  })

  test("one interrupt does for all chains of a batch", () => {
    using device = new EchoDevice()
    using rig = openRig(device, { ring: { size: 64 } })
    rig.front.start(rig.rings)
    const ring = only(rig)
    const at = rig.ram.allocate(8)
    for (let i = 0; i < 50; i++) ring.offer([{ address: at, length: 8, writable: true }])
    ring.kick()
    rig.settle()
    expect(ring.collect()).toHaveLength(50)
    expect(ring.calls()).toBe(1)
  })

  test("a driver that wants no interrupt gets none", () => {
    using device = new EchoDevice()
    using rig = openRig(device, { ring: { eventIndex: false } })
    rig.front.start(rig.rings, { without: features.VIRTIO_RING_F_EVENT_IDX })
    const ring = only(rig)
    ring.muteCalls(true)
    ring.offer([{ address: rig.ram.allocate(8), length: 8, writable: true }])
    ring.kick()
    rig.settle()
    expect(ring.collect()).toHaveLength(1)
    expect(ring.calls()).toBe(0)
  })

  test("chains may come back in any order", () => {
    using device = new EchoDevice()
    using rig = openRig(device)
    rig.front.start(rig.rings)
    const ring = only(rig)
    device.hold = true
    const heads = [1, 2, 3].map(() =>
      ring.offer([{ address: rig.ram.allocate(8), length: 8, writable: true }]),
    )
    ring.kick()
    rig.settle()
    expect(rig.connection.session.queues[0]?.inFlight).toBe(3)
    device.letGo(true)
    rig.settle()
    expect(ring.collect().map(({ head }) => head)).toEqual(heads.toReversed())
  })

  test("a piece may span two regions of the guest's memory that follow each other", () => {
    using device = new EchoDevice()
    const size = 1 << 16
    using rig = openRig(device, {
      ram: { sizes: [size, size, 1 << 20], guestAddresses: [0, size, 2 ** 32] },
    })
    rig.front.start(rig.rings)
    const data = Uint8Array.from({ length: 200 }, (_, i) => i)
    rig.ram.bytes(size - 100, 100).set(data.subarray(0, 100))
    rig.ram.bytes(size, 100).set(data.subarray(100))
    const to = rig.ram.allocate(200)
    only(rig).offer([
      { address: size - 100, length: 200 },
      { address: to, length: 200, writable: true },
    ])
    only(rig).kick()
    rig.settle()
    expect(only(rig).collect()).toHaveLength(1)
    expect(rig.ram.bytes(to, 200)).toEqual(data)
  })

  test("the rule of the event index is that of the specification, for all indices", () => {
    const index = fc.integer({ min: 0, max: 0xffff })
    fc.assert(
      fc.property(index, index, fc.integer({ min: 0, max: 300 }), (event, before, steps) => {
        let met = false
        for (let i = 0; i < steps; i++) if (((before + i) & 0xffff) === event) met = true
        expect(passed(event, (before + steps) & 0xffff, before)).toBe(met)
      }),
    )
  })
})
