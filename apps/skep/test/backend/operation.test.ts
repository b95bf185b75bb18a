import { SidecarError } from "@skep/contract"
import { withResolvers } from "@skep/runtime"
import { describe, expect, test } from "vitest"
import { Operation, type Progress, type Work } from "../../src/backend/operation.ts"

const never = new AbortController().signal

describe("Operation", () => {
  test("shows a late watcher what happened before", async () => {
    const rest = withResolvers<void>()
    const operation = begin(async (report) => {
      report(note("one"))
      await rest.promise
      report(note("two"))
    })
    const early = collect(operation.watch(never))
    rest.resolve()
    await operation.done
    expect(await early).toEqual([note("one"), note("two")])
    expect(await collect(operation.watch(never))).toEqual([note("one"), note("two")])
  })

  test("throws the work's error to every watcher", async () => {
    const operation = begin(async () => {
      throw new SidecarError("disk-full", "No room")
    })
    await expect(collect(operation.watch(never))).rejects.toMatchObject({ code: "disk-full" })
    await expect(collect(operation.watch(never))).rejects.toMatchObject({ code: "disk-full" })
  })

  test("is aborted when its last watcher hangs up, and says that it was interrupted", async () => {
    let interrupted: boolean | undefined
    const operation = begin(async (_report, signal, wasInterrupted) => {
      await aborted(signal)
      interrupted = wasInterrupted()
      signal.throwIfAborted()
    })
    const [first, second] = [new AbortController(), new AbortController()]
    const watching = [collect(operation.watch(first.signal)), collect(operation.watch(second.signal))]
    first.abort()
    await watching[0]
    expect(operation.aborted).toBe(false)
    second.abort()
    await watching[1]
    await expect(operation.done).rejects.toMatchObject({ code: "aborted" })
    expect(interrupted).toBe(true)
  })

  test("is not interrupted by an abort from elsewhere", async () => {
    let interrupted: boolean | undefined
    const operation = begin(async (_report, signal, wasInterrupted) => {
      await aborted(signal)
      interrupted = wasInterrupted()
      signal.throwIfAborted()
    })
    operation.abort(new SidecarError("aborted", "stopping"))
    await expect(operation.done).rejects.toThrow("stopping")
    expect(interrupted).toBe(false)
  })

  test("goes on unwatched where it needs no watcher", async () => {
    const rest = withResolvers<void>()
    const operation = new Operation({ kind: "stop", needsWatcher: false, work: () => rest.promise })
    const hangUp = new AbortController()
    const watching = collect(operation.watch(hangUp.signal))
    hangUp.abort()
    await watching
    expect(operation.aborted).toBe(false)
    rest.resolve()
    await operation.done
  })

  test("is done only when the work is, however early it was aborted", async () => {
    const clearing = withResolvers<void>()
    let done = false
    const operation = begin(async (_report, signal) => {
      await aborted(signal)
      await clearing.promise
      done = true
      signal.throwIfAborted()
    })
    operation.abort(new SidecarError("aborted", "enough"))
    clearing.resolve()
    await expect(operation.done).rejects.toThrow("enough")
    expect(done).toBe(true)
  })
})

function begin(work: Work): Operation {
  return new Operation({ kind: "start", needsWatcher: true, work })
}

function note(text: string): Progress {
  return { type: "note", text }
}

async function collect(progress: AsyncGenerator<Progress>): Promise<readonly Progress[]> {
  const all: Progress[] = []
  for await (const each of progress) all.push(each)
  return all
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true })
  })
}
