import { Loop, type Registration } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type FakeEvent, FakePoller } from "./fake-poller.ts"

const FDS = 6

/** What one handler does when it is called. */
type Deed = { readonly kind: "remove" | "replace" | "add" | "again"; readonly fd: number }
interface Batch {
  readonly events: readonly number[]
  readonly deeds: readonly Deed[]
  /** Whether an event of a descriptor that is long gone comes with it. */
  readonly zombie: boolean
}

const fd = fc.nat({ max: FDS - 1 })
const batches: fc.Arbitrary<Batch[]> = fc.array(
  fc.record({
    events: fc.array(fd, { maxLength: 8 }),
    deeds: fc.array(
      fc.record({ kind: fc.constantFrom("remove", "replace", "add", "again"), fd }) as fc.Arbitrary<Deed>,
      { maxLength: 6 },
    ),
    zombie: fc.boolean(),
  }),
  { maxLength: 30 },
)

describe("registrations", () => {
  it("hear exactly the events of their own life, whatever handlers do to one another", () => {
    fc.assert(
      fc.property(batches, (given) => {
        const poller = new FakePoller()
        const loop = new Loop({ poller })
        /** The living registration of each descriptor: the life it is in, and what hears. */
        const alive = new Map<number, { readonly life: number; readonly registration: Registration }>()
        const dead: FakeEvent[] = []
        let lives = 0
        let deeds: Deed[] = []
        const heard: number[] = []

        const open = (number: number): void => {
          const life = ++lives
          const registration = loop.add(number, sys.EPOLLIN, () => {
            expect(alive.get(number)?.life).toBe(life)
            heard.push(life)
            const deed = deeds.shift()
            if (deed !== undefined) act(deed)
          })
          alive.set(number, { life, registration })
        }
        const shut = (number: number): void => {
          const one = alive.get(number)
          if (one === undefined) return
          dead.push(poller.event(number))
          one.registration.remove()
          alive.delete(number)
        }
        const act = ({ kind, fd: number }: Deed): void => {
          if (kind === "remove" || kind === "replace") shut(number)
          if ((kind === "add" || kind === "replace") && !alive.has(number)) open(number)
          if (kind === "again") alive.get(number)?.registration.again(sys.EPOLLIN)
        }

        for (let number = 0; number < FDS; number += 2) open(number)
        for (const batch of given) {
          deeds = [...batch.deeds]
          poller.next = [...new Set(batch.events)]
            .filter((number) => alive.has(number))
            .map((n) => poller.event(n))
          const last = dead.at(-1)
          if (batch.zombie && last !== undefined) poller.next.push(last)
          const before = heard.length
          const eventful = poller.next.length
          loop.step()
          if (batch.deeds.length === 0 && !batch.zombie)
            expect(heard.length - before).toBeGreaterThanOrEqual(eventful)
          expect(loop.counters.read().registrations).toBe(alive.size)
          expect(new Set(poller.interests.keys())).toEqual(new Set(alive.keys()))
        }
      }),
      { numRuns: 300 },
    )
  })
})
