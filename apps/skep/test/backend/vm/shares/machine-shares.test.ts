/**
 * What the backend asks of a sidecar of shares, whichever it is: on one in memory.
 *
 * @module
 */
import { mkdirSync } from "node:fs"
import { type ShareRule, type SharesStatus, SidecarError, type SidecarEvent } from "@skep/contract"
import { silentLog, withResolvers } from "@skep/runtime"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { MachineShares } from "../../../../src/backend/vm/shares/machine-shares.ts"
import type {
  Served as Machine,
  SharesProgram,
  SharesSidecar,
} from "../../../../src/backend/vm/shares/program.ts"
import { homeFrom, machinePaths } from "../../../../src/home/paths.ts"

const never = new AbortController().signal

function rule(path: string, more: Partial<ShareRule> = {}): ShareRule {
  return { path, target: path, readOnly: false, cache: "consistent", ownership: "virtual", ...more }
}

/** One process of it. */
class Served implements SharesSidecar {
  readonly endpoints = []
  readonly identity = { pid: 1, startTime: "1", nonce: "n" }
  readonly #closed = withResolvers<void>()
  readonly closed = this.#closed.promise
  readonly asked: string[] = []
  rules: readonly ShareRule[]
  guestReady = true
  refuses: string | undefined
  released = false

  constructor(rules: readonly ShareRule[]) {
    this.rules = rules
    this.closed.catch(() => undefined)
  }

  async status(): Promise<SharesStatus> {
    const shares = this.rules.map((one) => ({
      ...one,
      protocol: "virtiofs" as const,
      state: this.guestReady ? ("mounted" as const) : ("waiting" as const),
    }))
    return { protocol: "virtiofs", reason: "it can", guestReady: this.guestReady, shares, counters: {} }
  }

  async share(wanted: ShareRule) {
    this.asked.push(`share ${wanted.path} at ${wanted.target}`)
    if (wanted.path === this.refuses)
      throw new SidecarError("not-found", `Cannot share "${wanted.path}": gone`)
    this.rules = [...this.rules.filter(({ target }) => target !== wanted.target), wanted]
    return { rule: wanted, [Symbol.asyncDispose]: () => this.unshare(wanted.target) }
  }

  async unshare(target: string): Promise<void> {
    this.asked.push(`unshare ${target}`)
    this.rules = this.rules.filter((one) => one.target !== target)
  }

  die(): void {
    this.#closed.reject(new SidecarError("crashed", "killed"))
  }

  release(): void {
    this.released = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.resolve()
  }
}

let directory: TemporaryDirectory
let events: SidecarEvent[]
let started: Served[]
beforeEach(async () => {
  directory = await temporaryDirectory()
  mkdirSync(directory.at("machines/m"), { recursive: true })
  events = []
  started = []
})
afterEach(() => directory[Symbol.asyncDispose]())

function serve(
  rules: readonly ShareRule[],
  { there, isLive = true }: { there?: Served; isLive?: boolean } = {},
) {
  const home = homeFrom({ SKEP_HOME: directory.path })
  let running = there
  const program: SharesProgram = {
    provider: "skep",
    isLive,
    adopt: async () => {
      if (running === undefined) throw new SidecarError("unreachable", "nobody")
      const found = running
      running = undefined
      return found
    },
    start: async (_machine, wanted) => {
      const sidecar = new Served(wanted)
      started.push(sidecar)
      return sidecar
    },
  }
  const context = {
    home,
    paths: machinePaths(home, "m"),
    record: { name: "m", shares: rules },
    log: silentLog,
    emit: (event: SidecarEvent) => events.push(event),
  } as unknown as Machine
  return new MachineShares(context, program)
}

const paths = (rules: readonly ShareRule[]): readonly string[] => rules.map(({ path }) => path)

describe("a sidecar", () => {
  test("is started with the shares of the record", async () => {
    await using shares = serve([rule("/a")])
    expect(await shares.ready(() => undefined)).toBe(shares)
    expect(paths((await shares.status())?.shares ?? [])).toEqual(["/a"])
  })

  test("that was found is told what the record says by now", async () => {
    const there = new Served([rule("/old"), rule("/kept"), rule("/other", { readOnly: true })])
    await using shares = serve([rule("/kept"), rule("/other"), rule("/new")], { there })
    await shares.ready(() => undefined)
    expect(there.asked).toEqual([
      "unshare /old",
      "unshare /other",
      "share /other at /other",
      "share /new at /new",
    ])
    expect(started).toEqual([])
  })

  test("that dies is started again with the shares of now, and both are told", async () => {
    await using shares = serve([rule("/a")])
    await shares.ready(() => undefined)
    await shares.change([rule("/a"), rule("/b")], never)
    started[0]?.die()
    await expect.poll(() => started).toHaveLength(2)
    expect(paths(started[1]?.rules ?? [])).toEqual(["/a", "/b"])
    await expect
      .poll(() => events.map(({ type }) => type))
      .toEqual(["sidecar-up", "sidecar-lost", "sidecar-up"])
  })

  test("stays when it is let go of, and ends with its machine", async () => {
    const shares = serve([])
    await shares.ready(() => undefined)
    shares.release()
    expect(started[0]?.released).toBe(true)
    const others = serve([])
    await others.ready(() => undefined)
    await others[Symbol.asyncDispose]()
    await started[1]?.closed
  })
})

describe("change()", () => {
  test("takes away first, then adds, one change after the other", async () => {
    await using shares = serve([rule("/a")])
    await shares.ready(() => undefined)
    const moved = rule("/elsewhere", { target: "/a" })
    await Promise.all([shares.change([moved], never), shares.change([moved, rule("/b")], never)])
    expect(started[0]?.asked).toEqual(["unshare /a", "share /elsewhere at /a", "share /b at /b"])
  })

  test("that fails leaves what was there", async () => {
    await using shares = serve([rule("/a")])
    await shares.ready(() => undefined)
    const [served] = started
    if (served === undefined) throw new Error("none was started")
    served.refuses = "/gone"
    await expect(shares.change([rule("/b"), rule("/gone")], never)).rejects.toMatchObject({
      code: "not-found",
    })
    expect(paths(served.rules)).toEqual(["/a"])
    served.refuses = undefined
    await shares.change([rule("/a"), rule("/gone")], never)
    expect(paths(served.rules)).toEqual(["/a", "/gone"])
  })
})

test("settled() waits for the guest", async () => {
  await using shares = serve([rule("/a")])
  await shares.ready(() => undefined)
  const [served] = started
  if (served === undefined) throw new Error("none was started")
  served.guestReady = false
  const asked = vi.spyOn(served, "status")
  const settled = shares.settled(never)
  await expect.poll(() => asked.mock.calls.length).toBeGreaterThan(1)
  served.guestReady = true
  expect((await settled).guestReady).toBe(true)
})
