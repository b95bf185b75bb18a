import { silentLog, withResolvers } from "@skep/runtime"
import { describe, expect, it } from "vitest"
import { Janitor } from "../../../src/backend/leases/janitor.ts"

const MINUTE = 60_000

interface Due {
  readonly ms: number
  readonly call: () => void
}

/** Time that passes when the test says so. */
function clock() {
  const due = new Set<Due>()
  return {
    later: (call: () => void, ms: number): Disposable => {
      const entry = { ms, call }
      due.add(entry)
      return { [Symbol.dispose]: () => void due.delete(entry) }
    },
    waits: () => [...due].map(({ ms }) => ms),
    /** Lets the only one that waits come. */
    pass: () => {
      const [only, ...others] = due
      if (only === undefined || others.length > 0) throw new Error(`${due.size} wait`)
      due.delete(only)
      only.call()
    },
  }
}

/** A sweep that lasts until the test says so. */
function sweeps() {
  const all: { readonly signal: AbortSignal; readonly end: () => void; readonly fail: (e: Error) => void }[] =
    []
  let began = withResolvers<void>()
  return {
    all,
    sweep: (signal: AbortSignal): Promise<void> => {
      const { promise, resolve, reject } = withResolvers<void>()
      all.push({ signal, end: resolve, fail: reject })
      signal.addEventListener("abort", () => reject(signal.reason))
      began.resolve()
      return promise
    },
    next: async () => {
      await began.promise
      began = withResolvers<void>()
    },
  }
}

/** All that is under way now has been heard. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function begin(random = 0.5) {
  const time = clock()
  const work = sweeps()
  const said: string[] = []
  const log = { ...silentLog, info: (event: string) => void said.push(event) }
  const janitor = new Janitor({ sweep: work.sweep, log, later: time.later, random: () => random })
  return { time, work, said, janitor }
}

describe("the janitor", () => {
  it("sweeps at once and then an hour after each sweep", async () => {
    const { time, work, janitor } = begin()
    await using _janitor = janitor
    for (let round = 0; round < 3; round++) {
      await work.next()
      expect(work.all).toHaveLength(round + 1)
      expect(time.waits()).toEqual([MINUTE])
      work.all[round]?.end()
      await settled()
      expect(time.waits()).toEqual([60 * MINUTE])
      time.pass()
    }
  })

  it.each([
    [0, 54],
    [1, 66],
  ])("comes a tenth of an hour sooner or later: by %d after %d minutes", async (random, minutes) => {
    const { time, work, janitor } = begin(random)
    await using _janitor = janitor
    work.all[0]?.end()
    await settled()
    expect(time.waits().map((ms) => Math.round(ms / MINUTE))).toEqual([minutes])
  })

  it("comes again after a sweep that failed, and says why", async () => {
    const { time, work, said, janitor } = begin()
    await using _janitor = janitor
    work.all[0]?.fail(new Error("the disk is full"))
    await settled()
    expect(said).toEqual(["leases not swept"])
    expect(time.waits()).toEqual([60 * MINUTE])
  })

  it("ends a sweep that takes longer than a minute", async () => {
    const { time, work, said, janitor } = begin()
    await using _janitor = janitor
    time.pass()
    expect(work.all[0]?.signal.aborted).toBe(true)
    await settled()
    expect(said).toEqual(["leases not swept"])
    expect(time.waits()).toEqual([60 * MINUTE])
  })

  it("ends with the sweep that is under way, and does not come again", async () => {
    const { time, work, said, janitor } = begin()
    await janitor[Symbol.asyncDispose]()
    expect(work.all[0]?.signal.aborted).toBe(true)
    expect(time.waits()).toEqual([])
    expect(said).toEqual([])
  })

  it("does not come again once it is over between two sweeps", async () => {
    const { time, work, janitor } = begin()
    work.all[0]?.end()
    await settled()
    await janitor[Symbol.asyncDispose]()
    expect(time.waits()).toEqual([])
    expect(work.all).toHaveLength(1)
  })
})
