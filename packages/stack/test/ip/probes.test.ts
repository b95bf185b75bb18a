import fc from "fast-check"
import { beforeEach, describe, expect, it } from "vitest"
import { type Probe, Probes } from "../../src/ip/probes.ts"

const silent: string[] = []
const onSilence = ({ key }: Probe): void => void silent.push(String(key))
beforeEach(() => {
  silent.length = 0
})

const probe = (key: string, machine = 1) => ({ key, machine, address: new Uint8Array(16) })

describe("Probes", () => {
  it("asks three times, after the machine must have found out, and then forgets", () => {
    const probes = new Probes()
    expect(probes.pollAt()).toBe(Number.POSITIVE_INFINITY)
    probes.note(probe("a"), 1000)
    expect(probes.pollAt()).toBe(2100)
    expect(probes.next(2099, onSilence)).toBeUndefined()
    expect([2100, 2100, 3200, 4300, 5399].map((now) => probes.next(now, onSilence)?.key)).toEqual([
      "a",
      undefined,
      "a",
      "a",
      undefined,
    ])
    expect([probes.size, probes.pollAt(), silent]).toEqual([1, 5400, []])
    expect(probes.next(5400, onSilence)).toBeUndefined()
    expect([probes.size, probes.pollAt(), silent]).toEqual([0, Number.POSITIVE_INFINITY, ["a"]])
  })

  it("asks for one at a time, and no more for what is known", () => {
    const probes = new Probes()
    for (const key of ["a", "b", "c"]) probes.note(probe(key), 0)
    probes.settle("b")
    expect([
      probes.next(1100, onSilence)?.key,
      probes.pollAt() <= 1100,
      probes.next(1100, onSilence)?.key,
    ]).toEqual(["a", true, "c"])
    expect(probes.next(1100, onSilence)).toBeUndefined()
    expect(probes.pollAt()).toBe(2200)
  })

  it("leaves an address to the machine that looked first", () => {
    const probes = new Probes()
    probes.note(probe("a", 1), 0)
    probes.note(probe("a", 2), 500)
    expect(probes.next(1100, onSilence)?.machine).toBe(1)
    probes.forget(2)
    expect(probes.size).toBe(1)
    probes.forget(1)
    expect([probes.size, probes.pollAt()]).toEqual([0, Number.POSITIVE_INFINITY])
  })

  it("is bounded for each machine, whatever they look for", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(300), fc.nat(2), fc.nat(5000))), (all) => {
        const probes = new Probes()
        let now = 0
        for (const [name, machine, later] of all) {
          now += later
          probes.note(probe(String(name), machine), now)
          expect(probes.size).toBeLessThanOrEqual(3 * 16)
          const due = probes.next(now, onSilence)
          if (due === undefined) expect(probes.pollAt()).toBeGreaterThan(now)
        }
      }),
    )
  })
})
