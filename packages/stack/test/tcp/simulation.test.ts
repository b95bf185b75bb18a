/**
 * What a stream takes over an impaired cable, in virtual time: a table that changes only when the stack does.
 *
 * @module
 */
import { describe, expect, it } from "vitest"
import { noise, TwoEnds, type TwoEndsOptions } from "../rig/two-ends.ts"

const MIB = 1 << 20
const SIZE = 2 * MIB
const SAYS = noise(SIZE, 1)

interface Cell {
  /** From the first frame to the last byte. */
  readonly ms: number
  /** Bytes that went out more than once, of 100. */
  readonly again: number
  readonly timeouts: number
}

function carry(options: TwoEndsOptions): Cell {
  const two = new TwoEnds({ ...options, fromA: SAYS })
  while (two.streamB.gotBytes === 0) step(two)
  const send = two.a.table.all()[0]?.connection?.send
  const began = two.clock.now()
  while (two.streamB.gotBytes < SIZE) step(two)
  const done = two.clock.now()
  two.run()
  expect(two.streamB.gotBytes).toBe(SIZE)
  for (const end of two.cable) end[Symbol.dispose]()
  expect(two.memory.inUse).toBe(0)
  return {
    ms: Math.round(done - began),
    again: Math.round((1000 * (send?.retransmitted ?? 0)) / SIZE) / 10,
    timeouts: send?.timeouts ?? 0,
  }
}

function step(two: TwoEnds): void {
  if (!two.clock.step(600_000)) throw new Error("nothing goes on")
  two.a.settle()
  two.b.settle()
}

const LOSSES = [0, 0.002, 0.01, 0.05]
const DELAYS = [0.1, 5, 20]
const CABLES: Readonly<Record<string, TwoEndsOptions>> = {
  "1500": { mtu: 1500 },
  "1500, cut by the link": { mtu: 1500, offload: true },
  "65520": { mtu: 65_520 },
}

describe("2 MiB one way", () => {
  it.each(Object.entries(CABLES))("in frames of %s", (_name, cable) => {
    const rows = LOSSES.flatMap((loss) =>
      DELAYS.map((delayMs) => {
        const { ms, again, timeouts } = carry({ ...cable, seed: 4, impairment: { loss, delayMs } })
        return `${(100 * loss).toFixed(1)} % lost, ${delayMs} ms each way: ${ms} ms, ${again} % again, ${timeouts} timeouts`
      }),
    )
    expect(rows).toMatchSnapshot()
  })

  it.each([
    ["of 100 frames, 5 ms each way", { queue: 100, impairment: { delayMs: 5 } }],
    ["of 20 frames, 5 ms each way", { queue: 20, impairment: { delayMs: 5 } }],
  ])("through a queue %s", (_name, options) => {
    const cell = carry(options)
    expect(cell).toMatchSnapshot()
    // The first window alone, of which the queue takes a tenth or less, is half of all bytes.
    expect(cell.again).toBeLessThan(80)
  })

  it.each([
    ["a tenth comes 3 ms late", { impairment: { reorder: 0.1, delayMs: 3 } }],
    ["a twentieth comes twice", { impairment: { duplicate: 0.05, delayMs: 3 } }],
  ])("where %s", (_name, options) => {
    const cell = carry(options)
    expect(cell).toMatchSnapshot()
    // Nothing is lost: what goes out again goes out in vain.
    expect(cell.again).toBeLessThan(10)
  })
})
