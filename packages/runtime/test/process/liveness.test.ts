/**
 * A process that is there and does not answer: when it is taken for one that hangs, and what becomes of it.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { fromSource } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import {
  adopt,
  Cleanup,
  call,
  identityOf,
  isAlive,
  type Liveness,
  type Remote,
  Supervisor,
  silentLog,
  spawn,
  withResolvers,
} from "../../src/index.ts"
import { type Ask, untilSilent } from "../../src/process/liveness.ts"

const QUICK: Liveness = { everyMs: 1, answerMs: 20, misses: 3 }
/** Enough for a process that is there to answer once on a busy host. */
const PATIENT: Liveness = { everyMs: 20, answerMs: 2000, misses: 2 }
const never = new AbortController().signal

/** Answers and misses in turn, then misses for ever. */
function answering(script: string): { readonly ask: Ask; readonly asked: () => number } {
  let asked = 0
  const ask: Ask = async (signal) => {
    const turn = script[asked++]
    if (turn === "y") return
    if (turn === "r") throw new SidecarError("unreachable", "refused")
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()))
  }
  return { ask, asked: () => asked }
}

describe("untilSilent()", () => {
  it.each([
    ["", 3],
    ["yyy", 6],
    ["nny", 6],
    ["nnynyrny", 11],
    ["yrrr", 4],
  ])("of one that answers %j asks %i times", async (script, times) => {
    const { ask, asked } = answering(script)
    expect(await untilSilent(ask, QUICK, never)).toBeTypeOf("number")
    expect(asked()).toBe(times)
  })

  it("ends with its signal, in a pause and in a question", async () => {
    const pausing = new AbortController()
    const paused = untilSilent(answering("y").ask, { ...QUICK, everyMs: 60_000 }, pausing.signal)
    pausing.abort(new Error("enough"))
    expect(await paused).toBeUndefined()
    const asking = new AbortController()
    const ask: Ask = () => {
      asking.abort(new Error("enough"))
      return new Promise(() => undefined)
    }
    expect(await untilSilent(ask, { ...QUICK, answerMs: 60_000 }, asking.signal)).toBeUndefined()
  })

  it("does not take our own mistakes for silence", async () => {
    const ask: Ask = () => Promise.reject(new TypeError("ours"))
    await expect(untilSilent(ask, QUICK, never)).rejects.toThrow("ours")
  })
})

interface Place {
  readonly cleanup: Cleanup
  readonly control: string
  start(liveness?: Liveness): Promise<Remote<unknown>>
}

async function openPlace(): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), "live-"))
  const cleanup = new Cleanup()
  cleanup.defer(() => rm(directory, { recursive: true }))
  const control = join(directory, "c.sock")
  return {
    cleanup,
    control,
    start: async (liveness) => {
      const sidecar = spawn<unknown, unknown, Remote<unknown>>(
        {
          name: "idle",
          file: process.execPath,
          args: fromSource(import.meta.dirname, "idle-main.ts"),
          control: () => control,
          parseOptions: (input) => input,
          parseStatus: (value) => value,
          endWithParent: true,
          stopDeadlineMs: 200,
          ...(liveness === undefined ? {} : { liveness }),
        },
        (remote) => remote,
      )
      const running = await sidecar.start({}, { signal: never, log: silentLog, emit: () => undefined })
      cleanup.use(running)
      return running
    },
  }
}

describe("a sidecar that is stopped by a signal", () => {
  it("is killed by who has adopted it, and `closed` says why", async () => {
    const place = await openPlace()
    await using _cleanup = place.cleanup
    const running = await place.start(PATIENT)
    process.kill(running.identity.pid, "SIGSTOP")
    await expect(running.closed).rejects.toMatchObject({
      code: "timeout",
      message: expect.stringMatching(/^The sidecar "idle" did not answer for \d+ s and was ended$/),
    })
    await expect.poll(() => isAlive(running.identity)).toBe(false)
  })

  it("is left alone by who has let go of it", async () => {
    const place = await openPlace()
    await using _cleanup = place.cleanup
    const owner = await place.start()
    const once: Liveness = { everyMs: 1, answerMs: 1000, misses: 1 }
    const { control } = place
    const other = await adopt({ control, signal: never, parseStatus: (value) => value, liveness: once })
    other.release()
    process.kill(owner.identity.pid, "SIGSTOP")
    // Another who asks, and has more patience.
    const ask: Ask = (signal) => call(control, { method: "GET", path: "/health", signal })
    expect(await untilSilent(ask, { ...once, misses: 2 }, never)).toBeTypeOf("number")
    expect(isAlive(owner.identity)).toBe(true)
  })

  it("makes room for another one when it is found so", async () => {
    const place = await openPlace()
    await using _cleanup = place.cleanup
    const hung = await place.start()
    process.kill(hung.identity.pid, "SIGSTOP")
    const adopting = adopt({
      control: place.control,
      signal: never,
      parseStatus: (value) => value,
      liveness: { ...PATIENT, answerMs: 100 },
    })
    await expect(adopting).rejects.toMatchObject({
      code: "unreachable",
      message: expect.stringContaining(`Process ${hung.identity.pid} did not answer`),
    })
    expect(identityOf(hung.identity.pid)).toBeUndefined()
    const next = await place.start()
    expect(next.identity.pid).not.toBe(hung.identity.pid)
  })

  it("is followed by another one under a supervisor, which tells why", async () => {
    const place = await openPlace()
    await using _cleanup = place.cleanup
    const lost = withResolvers<unknown>()
    await using supervisor = new Supervisor({
      name: "idle",
      log: silentLog,
      open: () => place.start(PATIENT),
      onDown: lost.resolve,
    })
    const first = await supervisor.ready
    process.kill(first.identity.pid, "SIGSTOP")
    expect(await lost.promise).toMatchObject({ code: "timeout" })
    const second = await supervisor.ready
    expect(second.identity.pid).not.toBe(first.identity.pid)
  })
})
