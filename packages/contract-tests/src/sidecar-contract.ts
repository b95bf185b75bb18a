/**
 * The compliance suite of the sidecar contract (contract/src/sidecar.ts). Run it against a sidecar in the same process and
 * through `spawn`, and against anything that claims to replace one.
 *
 * A fixture must pin its endpoints (a path, not port 0): a leaked listener then fails "starts again".
 *
 * @module
 */
import { type Context, type Running, type Sidecar, SidecarError, type SidecarEvent } from "@skep/contract"
import { silentLog } from "@skep/runtime"
import { describe, expect, it } from "vitest"

export interface SidecarFixture<Options, Status, R extends Running<Status>> extends AsyncDisposable {
  readonly sidecar: Sidecar<Options, Status, R>
  /** Inputs for `parseOptions`, valid and on endpoints of their own for each index. */
  input(index: 0 | 1): unknown
  /** Inputs that `parseOptions` must refuse. */
  readonly bad: readonly unknown[]
  /** Opens a client of the running sidecar and keeps it open, so that a stop has somebody to hang up on. */
  hold(running: R): Promise<AsyncDisposable>
  /** Makes the running sidecar crash. */
  crash?(running: R): Promise<void>
  /** What a stopped sidecar of index 0 left behind: processes, sockets, files. Empty means clean. */
  leftovers(): Promise<readonly string[]>
}

export interface SidecarSuite<Options, Status, R extends Running<Status>> {
  readonly name: string
  open(): Promise<SidecarFixture<Options, Status, R>>
  /** Cases that this sidecar cannot pass, by name, with the reason; they are printed as skips. */
  readonly gaps?: Readonly<Record<string, string>>
  /** Why none of it can be run on this machine; then every case is printed as a skip. */
  readonly unavailable?: string | undefined
}

/** Declares the suite with vitest. */
export function sidecarContract<Options, Status, R extends Running<Status>>(
  suite: SidecarSuite<Options, Status, R>,
): void {
  describe(`sidecar contract: ${suite.name}`, () => {
    const check = (
      name: string,
      run: (fixture: SidecarFixture<Options, Status, R>) => Promise<void>,
    ): void => {
      const gap = suite.gaps?.[name]
      const reason = suite.unavailable ?? (gap === undefined ? undefined : `gap: ${gap}`)
      if (reason !== undefined) {
        it.skip(`${name} (${reason})`, () => undefined)
        return
      }
      it(name, async () => {
        const fixture = await suite.open()
        try {
          await run(fixture)
        } finally {
          await fixture[Symbol.asyncDispose]()
        }
      })
    }
    optionCases(check)
    startCases(check)
    stopCases(check)
    lifeCases(check)
  })
}

type Check<O, S, R extends Running<S>> = (
  name: string,
  run: (fixture: SidecarFixture<O, S, R>) => Promise<void>,
) => void

function optionCases<O, S, R extends Running<S>>(check: Check<O, S, R>): void {
  check("refuses bad options with the code bad-options", async (fixture) => {
    expect(fixture.bad.length).toBeGreaterThan(0)
    for (const input of fixture.bad) {
      expect(() => fixture.sidecar.parseOptions(input)).toThrow(SidecarError)
      expect(codeThrownBy(() => fixture.sidecar.parseOptions(input))).toBe("bad-options")
    }
  })
  check("parses the same input to equal options", async (fixture) => {
    expect(fixture.sidecar.parseOptions(fixture.input(0))).toEqual(
      fixture.sidecar.parseOptions(fixture.input(0)),
    )
  })
}

function startCases<O, S, R extends Running<S>>(check: Check<O, S, R>): void {
  check("is ready when start resolves", async (fixture) => {
    const running = await start(fixture, 0)
    try {
      await using _client = await fixture.hold(running)
      expect(await running.status()).toBeTypeOf("object")
      expect(running.endpoints.length).toBeGreaterThan(0)
    } finally {
      await running[Symbol.asyncDispose]()
    }
  })
  check(
    "rejects with the signal's own reason when aborted before start, and leaves nothing",
    async (fixture) => {
      const reason = new Error("before")
      await expect(start(fixture, 0, AbortSignal.abort(reason))).rejects.toBe(reason)
      expect(await fixture.leftovers()).toEqual([])
    },
  )
  check(
    "rejects with the signal's own reason when aborted during start, and leaves nothing",
    async (fixture) => {
      const controller = new AbortController()
      const reason = new Error("during")
      const starting = start(fixture, 0, controller.signal)
      controller.abort(reason)
      await expect(starting).rejects.toBe(reason)
      expect(await fixture.leftovers()).toEqual([])
      await stop(await start(fixture, 0)) // and the endpoint is free again
    },
  )
  check("ignores its start signal once it has started", async (fixture) => {
    const controller = new AbortController()
    const running = await start(fixture, 0, controller.signal)
    controller.abort(new Error("too late"))
    expect(await running.status()).toBeTypeOf("object")
    await stop(running)
  })
}

function stopCases<O, S, R extends Running<S>>(check: Check<O, S, R>): void {
  check("stops with a client connected and leaves nothing", async (fixture) => {
    const before = process.getActiveResourcesInfo().toSorted()
    const running = await start(fixture, 0)
    const client = await fixture.hold(running)
    await running[Symbol.asyncDispose]()
    await running.closed
    await client[Symbol.asyncDispose]()
    expect(await fixture.leftovers()).toEqual([])
    expect(added(before, process.getActiveResourcesInfo())).toEqual([])
  })
  check("can be disposed twice and while it is being disposed", async (fixture) => {
    const running = await start(fixture, 0)
    await Promise.all([running[Symbol.asyncDispose](), running[Symbol.asyncDispose]()])
    await running[Symbol.asyncDispose]()
    await running.closed
  })
  check("answers status with not-running after the stop", async (fixture) => {
    const running = await start(fixture, 0)
    await stop(running)
    await expect(running.status()).rejects.toMatchObject({ code: "not-running" })
  })
}

function lifeCases<O, S, R extends Running<S>>(check: Check<O, S, R>): void {
  check("rejects closed after a crash", async (fixture) => {
    if (fixture.crash === undefined) throw new Error("declare a gap or give a way to crash")
    const running = await start(fixture, 0)
    const outcome = running.closed.then(
      () => "a clean stop",
      (error: unknown) => error,
    )
    await fixture.crash(running)
    expect(await outcome).toBeInstanceOf(Error)
    await running[Symbol.asyncDispose]()
  })
  check("lives beside another instance", async (fixture) => {
    const first = await start(fixture, 0)
    const second = await start(fixture, 1)
    await stop(first)
    expect(await second.status()).toBeTypeOf("object")
    await stop(second)
  })
  check("starts and stops three times on the same endpoint", async (fixture) => {
    for (let round = 0; round < 3; round++) {
      const running = await start(fixture, 0)
      const client = await fixture.hold(running)
      await stop(running)
      await client[Symbol.asyncDispose]()
    }
    expect(await fixture.leftovers()).toEqual([])
  })
}

/** A context for tests: silent, with the events collected. */
export function testContext(
  signal: AbortSignal = new AbortController().signal,
): Context & { readonly events: SidecarEvent[] } {
  const events: SidecarEvent[] = []
  return { signal, log: silentLog, emit: (event) => events.push(event), events }
}

function start<O, S, R extends Running<S>>(
  fixture: SidecarFixture<O, S, R>,
  index: 0 | 1,
  signal?: AbortSignal,
): Promise<R> {
  return fixture.sidecar.start(fixture.sidecar.parseOptions(fixture.input(index)), testContext(signal))
}

async function stop(running: Running<unknown>): Promise<void> {
  await running[Symbol.asyncDispose]()
  await running.closed
}

function codeThrownBy(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    return error instanceof SidecarError ? error.code : String(error)
  }
}

/** Resources that are there now and were not before; immediates and timers of the test runner come and go. */
function added(before: readonly string[], now: readonly string[]): readonly string[] {
  const left = [...before]
  return now.filter((name) => {
    if (name === "Timeout" || name === "Immediate" || name === "FSReqPromise" || name === "CloseReq")
      return false
    const index = left.indexOf(name)
    if (index < 0) return true
    left.splice(index, 1)
    return false
  })
}
