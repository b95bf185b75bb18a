/**
 * Chains given back in any order by devices that come and go: each comes back exactly once.
 *
 * @module
 */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LEDGER_WORDS, Ledger, type OpenedRing, type Queue } from "../src/index.ts"
import { EchoDevice } from "./echo-device.ts"
import { only, openRig, type Rig } from "./rig.ts"

/** Holds its chains, and keeps what it holds in memory that outlives it. */
class Keeping extends EchoDevice {
  readonly words: Uint32Array
  readonly again: number[] = []

  constructor(words: Uint32Array) {
    super()
    this.words = words
    this.hold = true
  }

  ledgerOf(): Ledger {
    return new Ledger(this.words)
  }

  override onKick(queue: Queue): void {
    const before = this.held.length
    const first = queue.isAgain
    super.onKick(queue)
    if (!first) this.again.push(...this.held.slice(before).map(({ head }) => head))
  }

  /** Gives back what it holds at these places. */
  give(places: readonly number[]): void {
    for (const place of places.toSorted((a, b) => b - a)) {
      const [held] = this.held.splice(place % Math.max(1, this.held.length), 1)
      held?.queue.give(held.head, held.written)
    }
  }
}

function offer(rig: Rig): number {
  const ring = only(rig)
  const from = rig.ram.allocate(8)
  const to = rig.ram.allocate(8)
  return ring.offer([
    { address: from, length: 8 },
    { address: to, length: 8, writable: true },
  ])
}

describe("a ledger", () => {
  it("lets a successor do again exactly what was not given back, though others behind it were", () => {
    const words = new Uint32Array(LEDGER_WORDS)
    using first = new Keeping(words)
    using rig = openRig(first, { ring: { size: 8 } })
    rig.front.start(rig.rings)
    const ring = only(rig)
    const heads = [offer(rig), offer(rig), offer(rig), offer(rig)]
    ring.kick()
    rig.settle()
    expect(first.held.map(({ head }) => head)).toEqual(heads)
    first.give([1, 3])
    rig.settle()
    expect(ring.collect().map(({ head }) => head)).toEqual([heads[3], heads[1]])

    // The keeper's way: the base is the used index.
    const snapshot = words.slice()
    using second = new Keeping(snapshot)
    const base = new DataView(ring.ram.bytes(ring.used, 4).buffer, ring.ram.bytes(ring.used, 4).byteOffset)
    expect(base.getUint16(2, true)).toBe(2)
    using after = openRigOn(second, rig)
    after.front.startRing(0, ring, 2)
    after.settle()
    expect(second.held.map(({ head }) => head)).toEqual([heads[0], heads[2]])
    expect(after.connection.session.queues[0]?.inFlight).toBe(2)
  })

  it("gives every chain back once, whoever of many successors does it", () => {
    const step = fc.oneof(
      fc.record({ does: fc.constant("offer" as const), count: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ does: fc.constant("give" as const), places: fc.array(fc.nat(7), { maxLength: 4 }) }),
      // What it gave back just before is not shown to the guest any more.
      fc.record({ does: fc.constant("die" as const), places: fc.array(fc.nat(7), { maxLength: 4 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const words = new Uint32Array(LEDGER_WORDS)
        using first = new Keeping(words)
        using rig = openRig(first, { ring: { size: 8 }, ram: { sizes: [1 << 20, 8 << 20] } })
        rig.front.start(rig.rings)
        const ring = only(rig)
        let device = first
        let served: Rig = rig
        const stack = new DisposableStackOf()
        const offered: number[] = []
        const back: number[] = []
        const collect = (): void => void back.push(...ring.collect().map(({ head }) => head))
        for (const each of steps) {
          if (each.does === "offer") {
            for (let i = 0; i < each.count; i++) {
              const head = offer(rig)
              if (head >= 0) offered.push(head)
            }
            ring.kickAnyway()
          } else if (each.does === "give") device.give(each.places)
          else {
            device.give(each.places)
            device = new Keeping(words)
            served = stack.use(openRigOn(device, rig))
            served.front.startRing(0, ring, usedIndexOf(rig))
          }
          served.settle()
          collect()
        }
        device.give(Array.from({ length: device.held.length }, (_, index) => index))
        served.settle()
        collect()
        expect(served.events).toEqual([])
        stack.dispose()
        const byNumber = (a: number, b: number): number => a - b
        expect(back.toSorted(byNumber)).toEqual(offered.toSorted(byNumber))
      }),
      { numRuns: 60 },
    )
  })

  const ring = (over: Partial<OpenedRing>): OpenedRing => ({
    size: 8,
    usedIndex: 0,
    base: 0,
    availableIndex: 0,
    offeredAt: (index) => index % 8,
    ...over,
  })

  it("knows whether the last batch was published when the process ended", () => {
    const words = new Uint32Array(LEDGER_WORDS)
    const ledger = new Ledger(words)
    for (const head of [0, 1, 2]) ledger.took(head)
    ledger.gave(1)
    const here = { availableIndex: 3 }
    expect(new Ledger(words.slice()).open(ring(here))).toEqual([0, 1, 2])
    expect(new Ledger(words.slice()).open(ring({ ...here, usedIndex: 1, base: 1 }))).toEqual([0, 2])
    // Stopped in order by a front end that counts those under way as taken.
    ledger.published(1)
    expect(new Ledger(words.slice()).open(ring({ ...here, usedIndex: 1, base: 3 }))).toEqual([0, 2])
  })

  it("is forgotten where the ring is another guest's, or went on without it", () => {
    const words = new Uint32Array(LEDGER_WORDS)
    const ledger = new Ledger(words)
    for (const head of [3, 4]) ledger.took(head)
    const cases: OpenedRing[] = [
      ring({}), // nothing is offered yet
      ring({ availableIndex: 2 }), // other heads are
      ring({ usedIndex: 2000, base: 2000, availableIndex: 2002 }),
      ring({ availableIndex: 8, base: 5 }),
    ]
    for (const opened of cases) expect(new Ledger(words.slice()).open(opened)).toEqual([])
  })
})

/** Another back end for the same guest. */
function openRigOn(device: Keeping, before: Rig): Rig {
  const rig = openRig(device, { ring: { size: 8 } })
  const { front } = rig
  const ram = before.front.ram
  Object.assign(front, { ram })
  front.features()
  front.send(SET_FEATURES, { body: featuresOf() })
  front.setMemory()
  return rig
}

const SET_FEATURES = 2
const RING_EVENT_IDX = 1n << 29n

function featuresOf(): Uint8Array {
  // Without protocol features rings are enabled when they start.
  return new Uint8Array(BigUint64Array.of(RING_EVENT_IDX | (1n << 32n)).buffer)
}

function usedIndexOf(rig: Rig): number {
  return rig.ram.view(only(rig).used, 4).getUint16(2, true)
}

class DisposableStackOf {
  readonly #all: Disposable[] = []
  use<T extends Disposable>(each: T): T {
    this.#all.push(each)
    return each
  }
  dispose(): void {
    for (const each of this.#all.toReversed()) each[Symbol.dispose]()
  }
}
