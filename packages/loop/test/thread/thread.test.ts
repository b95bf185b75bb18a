import { readdirSync, readlinkSync } from "node:fs"
import { type LoopThread, SystemError, startLoop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import type { Echo, Notice } from "./modules/echo.ts"

const ECHO = new URL("./modules/echo.ts", import.meta.url)

async function start(options: Parameters<typeof startLoop<Echo, Notice>>[1] = {}): Promise<LoopThread<Echo>> {
  return startLoop<Echo, Notice>(ECHO, options)
}

describe("calls into a loop", () => {
  it("answers in order, with errors as they were, and moves buffers", async () => {
    await using thread = await start()
    const values = [1, "two", { three: [3] }, undefined, null, new Uint8Array([4])]
    expect(await Promise.all(values.map((value) => thread.call("echo", value)))).toEqual(values)
    await expect(thread.call("refuse", "no-such-lease")).rejects.toMatchObject({
      name: "LoopError",
      code: "no-such-lease",
      message: "refused with no-such-lease",
    })
    const error: unknown = await thread
      .call("connectNowhere", "/nonexistent/s")
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(SystemError)
    expect(error).toMatchObject({
      code: "ENOENT",
      syscall: "connect",
      errno: sys.ENOENT,
      message: "connect: ENOENT, nobody at /nonexistent/s",
    })
    const buffer = new Uint8Array([1, 2, 3]).buffer
    const back = await thread.call("move", buffer, { transfer: [buffer] })
    expect(buffer.byteLength).toBe(0)
    expect(new Uint8Array(back)).toEqual(new Uint8Array([1, 2, 3]))
  })

  it("answers later, from a timer", async () => {
    await using thread = await start()
    expect(await thread.call("later", 1)).toBe("after 1")
  })

  it("refuses what cannot be cloned, and unknown calls", async () => {
    await using thread = await start()
    await expect(thread.call("uncloneable", undefined)).rejects.toMatchObject({
      message: /could not be cloned/,
    })
    await expect(thread.call("echo", () => 0)).rejects.toThrow(/could not be cloned/)
    // oxlint-disable-next-line typescript/no-explicit-any -- a name that the types do not have
    await expect((thread as any).call("nothing", 0)).rejects.toMatchObject({ code: "unknown-call" })
    expect(await thread.call("echo", 1)).toBe(1)
  })

  it("rejects with timeout, or the signal's reason, and drops the late answer", async () => {
    await using thread = await start()
    await expect(thread.call("never", undefined, { deadlineMs: 1 })).rejects.toMatchObject({
      code: "timeout",
    })
    const controller = new AbortController()
    const call = thread.call("never", undefined, { signal: controller.signal })
    controller.abort(new Error("enough"))
    await expect(call).rejects.toThrow("enough")
    await expect(thread.call("echo", 1, { signal: controller.signal })).rejects.toThrow("enough")
    expect(await thread.call("echo", 2)).toBe(2)
  })

  it("takes more calls than one batch reads, rung for far fewer times", async () => {
    await using thread = await start()
    const before = thread.counters()
    const numbers = Array.from({ length: 1000 }, (_, index) => index)
    expect(await Promise.all(numbers.map((number) => thread.call("echo", number)))).toEqual(numbers)
    const after = thread.counters()
    expect(after.calls - before.calls).toBe(1000)
    expect(after.wakeups - before.wakeups).toBeLessThanOrEqual(1000)
  })

  it("does not wake without cause", async () => {
    await using thread = await start()
    await thread.call("echo", 1)
    const { wakeups } = thread.counters()
    await thread.call("echo", 2)
    // One for each ring, and nothing in between, however long that was.
    expect(thread.counters().wakeups - wakeups).toBeLessThanOrEqual(1)
    expect(thread.threadId).toBeGreaterThan(0)
    expect(readdirSync("/proc/self/task")).toContain(String(thread.threadId))
  })
})

describe("notices", () => {
  it("arrive while the loop goes on, in order, before the answer that follows them", async () => {
    const seen: Notice[] = []
    await using thread = await start({ onNotice: (notice: Notice) => void seen.push(notice) })
    expect(await thread.call("notify", 100)).toBe(100)
    expect(seen).toEqual(Array.from({ length: 100 }, (_, number) => ({ number })))
  })

  it("are refused when too many are unread", async () => {
    const seen: Notice[] = []
    await using thread = await start({ maxNotices: 10, onNotice: (notice: Notice) => void seen.push(notice) })
    // The main thread reads while the loop counts, so a few more than ten may get through.
    const taken = await thread.call("notify", 100_000)
    expect(taken).toBeGreaterThanOrEqual(10)
    expect(taken).toBe(seen.length)
    expect(await thread.call("notify", 5)).toBe(5)
  })
})

describe("stop()", () => {
  it("runs the disposers in reverse, delivers their last words, and settles closed", async () => {
    const seen: Notice[] = []
    const thread = await start({
      data: { onStop: "bye" },
      onNotice: (notice: Notice) => void seen.push(notice),
    })
    const pending = thread.call("never", undefined).catch((error: unknown) => error)
    await Promise.all([thread.stop(), thread.stop(), thread[Symbol.asyncDispose]()])
    expect(await pending).toMatchObject({ code: "stopped" })
    await thread.closed
    expect(seen).toEqual([{ text: "first bye" }, { text: "second bye" }])
    await expect(thread.call("echo", 1)).rejects.toMatchObject({ code: "stopped" })
  })

  it("settles closed when the loop stops of its own accord, as does process.exit(0)", async () => {
    const one = await start()
    await Promise.allSettled([one.call("stopYourself", undefined)])
    await one.closed
    await one.stop()
    const seen: Notice[] = []
    const two = await start({ data: { onStop: "bye" }, onNotice: (notice: Notice) => void seen.push(notice) })
    await expect(two.call("exit", 0)).rejects.toMatchObject({ code: "stopped" })
    await two.closed
    expect(seen).toHaveLength(2)
  })

  it("breaks off a handler that never returns, and says so", async () => {
    const { promise: spins, resolve: onNotice } = resolvers()
    const thread = await start({ stopDeadlineMs: 50, onNotice })
    const spinning = thread.call("spin", undefined).catch((error: unknown) => error)
    await spins
    await expect(thread.stop()).rejects.toMatchObject({ code: "stuck" })
    expect(await spinning).toMatchObject({ code: "stuck" })
    await expect(thread.closed).rejects.toMatchObject({ code: "stuck" })
  })
})

describe("crashes", () => {
  it("reject closed and what waits, with the loop's own error", async () => {
    const thread = await start()
    const pending = thread.call("never", undefined).catch((error: unknown) => error)
    await thread.call("crash", "boom")
    await expect(thread.closed).rejects.toThrow("boom")
    expect(await pending).toMatchObject({ message: "boom", code: "crashed" })
    await expect(thread.call("echo", 1)).rejects.toThrow("boom")
    await thread.stop()
  })

  it("of a scope with a listener end that scope alone", async () => {
    const seen: Notice[] = []
    const { promise: told, resolve } = resolvers()
    await using thread = await start({
      onNotice: (notice: Notice) => {
        seen.push(notice)
        resolve()
      },
    })
    await thread.call("crashScope", "boom")
    await told
    expect(await thread.call("echo", 1)).toBe(1)
    expect(seen).toEqual([{ text: "device event: Error: boom" }])
    expect(thread.counters()).toMatchObject({ handlerErrors: 1, registrations: 1 })
  })

  it("by process.exit(3) reject closed", async () => {
    const thread = await start()
    await expect(thread.call("exit", 3)).rejects.toMatchObject({ code: "crashed" })
    await expect(thread.closed).rejects.toMatchObject({
      code: "crashed",
      message: "The loop thread ended with 3",
    })
  })
})

describe("startLoop()", () => {
  it("rejects with what the set-up threw, and with what the module threw", async () => {
    await expect(start({ data: { fail: "no disk" } })).rejects.toMatchObject({
      code: "bad-options",
      message: "no disk",
    })
    await expect(startLoop(new URL("./modules/throws.ts", import.meta.url))).rejects.toThrow(
      "this module throws",
    )
    await expect(startLoop(new URL("./modules/missing.ts", import.meta.url))).rejects.toThrow(/missing/)
  })

  it("rejects with no-loop for a module without one", async () => {
    await expect(startLoop(new URL("./modules/no-loop.ts", import.meta.url))).rejects.toMatchObject({
      code: "no-loop",
    })
  })

  it("rejects with the signal's reason, before and during, and data that cannot be cloned", async () => {
    const reason = new Error("never mind")
    await expect(start({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const starting = start({ signal: controller.signal })
    controller.abort(reason)
    await expect(starting).rejects.toBe(reason)
    await expect(start({ data: () => 0 })).rejects.toThrow(/could not be cloned/)
  })

  it("leaves no descriptor behind, whichever way it ends", async () => {
    // Node opens some of its own for the first worker.
    await (await start()).stop()
    const before = descriptors()
    await (await start()).stop()
    const crashed = await start()
    await crashed.call("crash", "boom")
    await crashed.closed.catch(() => undefined)
    const exited = await start()
    await exited.call("crashScope", "boom")
    await exited.call("exit", 0).catch(() => undefined)
    await exited.closed
    await start({ data: { fail: "no" } }).catch(() => undefined)
    await start({ data: () => 0 }).catch(() => undefined)
    await startLoop(new URL("./modules/no-loop.ts", import.meta.url)).catch(() => undefined)
    const controller = new AbortController()
    const starting = start({ signal: controller.signal })
    controller.abort()
    await starting.catch(() => undefined)
    expect(descriptors()).toEqual(before)
  })
})

function resolvers(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/**
 * What each open descriptor is, without the one that reading them takes, and without those of tsx, which loads the TypeScript of these tests
 * and may be broken off in the middle of it.
 */
function descriptors(): readonly string[] {
  return readdirSync("/proc/self/fd")
    .flatMap((fd) => {
      try {
        const name = readlinkSync(`/proc/self/fd/${fd}`)
        return name.includes("/tsx") ? [] : [name.replace(/\d+/g, "N")]
      } catch {
        return []
      }
    })
    .toSorted()
}
