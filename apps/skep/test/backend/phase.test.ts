import { SidecarError } from "@skep/contract"
import { withResolvers } from "@skep/runtime"
import { describe, expect, test } from "vitest"
import type { Progress } from "../../src/backend/operation.ts"
import { runPhase } from "../../src/backend/phase.ts"

const PHASE = { name: "boot", title: "Virtual machine", deadlineMs: 60_000 }

describe("runPhase", () => {
  test("reports the beginning and the end", async () => {
    const { report, types } = recorder()
    expect(await runPhase(PHASE, report, new AbortController().signal, () => Promise.resolve(7))).toBe(7)
    expect(types()).toEqual(["begin", "end"])
  })

  test("a passed deadline names the phase", async () => {
    const { report, types } = recorder()
    const running = runPhase({ ...PHASE, deadlineMs: 1 }, report, new AbortController().signal, untilAborted)
    await expect(running).rejects.toMatchObject({
      code: "timeout",
      message: 'Cannot finish "Virtual machine" within 0.001 s',
    })
    expect(types()).toEqual(["begin", "fail"])
  })

  test("after an abort it ends when the work has cleared up", async () => {
    const clearing = withResolvers<void>()
    const abort = new AbortController()
    let cleared = false
    const running = runPhase(PHASE, recorder().report, abort.signal, async (signal) => {
      await untilAborted(signal).catch(() => undefined)
      await clearing.promise
      cleared = true
      signal.throwIfAborted()
    })
    abort.abort(new SidecarError("aborted", "Ctrl-C"))
    setImmediate(clearing.resolve)
    await expect(running).rejects.toThrow("Ctrl-C")
    expect(cleared).toBe(true)
  })

  test("takes back a result that comes although it was aborted", async () => {
    const late = withResolvers<string>()
    const abort = new AbortController()
    const taken: string[] = []
    const phase = { ...PHASE, takeBack: async (value: string) => void taken.push(value) }
    const running = runPhase(phase, recorder().report, abort.signal, () => late.promise)
    abort.abort(new SidecarError("aborted", "Ctrl-C"))
    setImmediate(() => late.resolve("a machine"))
    await expect(running).rejects.toThrow("Ctrl-C")
    expect(taken).toEqual(["a machine"])
  })
})

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  })
}

function recorder() {
  const seen: Progress[] = []
  return {
    report: (progress: Progress): void => void seen.push(progress),
    types: () => seen.map(({ type }) => type),
  }
}
