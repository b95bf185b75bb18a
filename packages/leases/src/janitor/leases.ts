/**
 * The sidecar `leases`: looks after the leases of one server, sweeps every hour, and takes back single ones when it is asked.
 *
 * @module
 */
import {
  type Context,
  type Counters,
  type LeaseChoice,
  type LeaseEntry,
  type LeasesRunning,
  type LeasesStatus,
  type Sidecar,
  SidecarError,
  type SweepOutcome,
  type SweepRule,
} from "@skep/contract"
import { notRunning, sleep } from "@skep/runtime"
import * as z from "zod"
import { type Disk, nodeDisk } from "../file/disk.ts"
import type { HostOptions } from "../owners/host.ts"
import { chosenBy, releasedBy } from "../plan/choose.ts"
import { entryOf, type Judged, keyOf } from "../plan/judge.ts"
import { runProgram } from "../servers/programs.ts"
import type { LeaseServer, ServerHost } from "../servers/server.ts"
import { serverNamed } from "../servers/servers.ts"
import { hostNeighbours, type Neighbours } from "./neighbours.ts"
import { removeLeases } from "./remove.ts"
import { type Survey, type Surveyed, survey } from "./survey.ts"

export interface LeasesOptions {
  /** The lease file; one that is not there yet has no leases. */
  readonly path: string
  /** Where the bytes do not say it. */
  readonly format?: string | undefined
  /** Files beside it that say networks and reservations. */
  readonly settings: readonly string[]
  /** Between two sweeps; 0 never sweeps by itself. */
  readonly everyMs: number
  /** Whether a sweep takes stale leases too. */
  readonly stale: boolean
  /** Where the tools' files are; this user's home directory unless told. */
  readonly homes?: readonly string[] | undefined
}

/** What it is to use in place of this host's. */
export interface Surroundings {
  readonly disk?: Disk
  readonly host?: ServerHost
  readonly tools?: HostOptions
  readonly neighbours?: Neighbours
  readonly server?: LeaseServer
  readonly now?: () => number
  /** Between 0 and 1: how far sweeps of several hosts are apart. */
  readonly random?: () => number
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>
}

const HOUR = 3_600_000
/** Of the time between sweeps. */
const JITTER = 0.1
const SWEEP_MS = 120_000

const Options: z.ZodType<LeasesOptions> = z.strictObject({
  path: z.string().startsWith("/", "must be an absolute path"),
  format: z.string().optional(),
  settings: z.array(z.string().startsWith("/")).default([]),
  everyMs: z.number().int().nonnegative().default(HOUR),
  stale: z.boolean().default(false),
  homes: z.array(z.string().startsWith("/")).optional(),
})

export function leasesSidecar(
  around: Surroundings = {},
): Sidecar<LeasesOptions, LeasesStatus, LeasesRunning> {
  return {
    name: "leases",
    parseOptions(input) {
      const parsed = Options.safeParse(input)
      if (parsed.success) return parsed.data
      const issue = parsed.error.issues[0]
      throw new SidecarError(
        "bad-options",
        `Cannot look after leases: "${issue?.path.join(".")}": ${issue?.message}`,
        {
          cause: parsed.error,
        },
      )
    },
    async start(options, context) {
      context.signal.throwIfAborted()
      const janitor = new Janitor(options, around, context)
      await janitor.open()
      return janitor
    },
  }
}

class Janitor implements LeasesRunning {
  readonly endpoints: readonly string[] = []
  readonly closed: Promise<void>
  readonly #options: LeasesOptions
  readonly #around: Surroundings
  readonly #context: Context
  readonly #stop = new AbortController()
  readonly #counts = { sweeps: 0, released: 0, refused: 0, failures: 0 }
  #close: () => void = () => undefined
  /** Changes one after the other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: LeasesOptions, around: Surroundings, context: Context) {
    this.#options = options
    this.#around = around
    this.#context = context
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  /** Throws what is wrong with the file, unless it is only not there yet. */
  async open(): Promise<void> {
    await this.#look()
    this.#context.signal.throwIfAborted()
    if (this.#options.everyMs > 0) void this.#sweepForEver()
  }

  async status(): Promise<LeasesStatus> {
    const { found, file, format } = await this.#look()
    const server = this.#serverOf(format)
    const serving = await server?.isRunning(this.#options.path, this.#host(), this.#stop.signal)
    const counters: Counters = { ...this.#counts }
    return {
      server: server?.name ?? format,
      ...(serving === undefined ? {} : { serving }),
      paths: [this.#options.path],
      leases: file?.document.leases.length ?? 0,
      pools: found?.pools ?? [],
      counters,
    }
  }

  async leases(): Promise<readonly LeaseEntry[]> {
    return ((await this.#look()).file?.judged ?? []).map(entryOf)
  }

  giveBack(choice: LeaseChoice): Promise<readonly LeaseEntry[]> {
    return this.#after(async () => {
      const { file } = await this.#look()
      return await this.#remove(file, releasedBy(file?.judged ?? [], choice), "released")
    })
  }

  sweep(rule: SweepRule = {}): Promise<SweepOutcome> {
    return this.#after(async () => {
      const wish = { ...(this.#options.stale ? { stale: true } : {}), ...rule }
      // Whoever answers keeps what he has, whatever the files say.
      const { file } = await this.#look((found) =>
        this.#chosen(found, wish).map(({ lease }) => lease.address),
      )
      const chosen = this.#chosen(file, wish)
      const removed = await this.#remove(file, chosen, "swept")
      this.#counts.sweeps++
      const kept = (file?.judged.length ?? 0) - removed.length
      if (removed.length > 0) this.#context.emit({ type: "leases-swept", removed: removed.length, kept })
      return { removed, kept }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(notRunning("leases"))
    await this.#last.catch(() => undefined) // whoever asked for it is told
    this.#close()
  }

  #chosen(file: Surveyed | undefined, wish: SweepRule): readonly Judged[] {
    return chosenBy(file?.judged ?? [], wish, this.#now())
  }

  async #remove(
    file: Surveyed | undefined,
    chosen: readonly Judged[],
    reason: "released" | "swept",
  ): Promise<readonly LeaseEntry[]> {
    if (file === undefined || chosen.length === 0) return []
    const { keys, stays = [] } = await removeLeases(this.#options.path, new Set(chosen.map(keyOf)), {
      format: file.format,
      disk: this.#disk(),
      host: this.#host(),
      now: () => this.#now(),
      signal: this.#stop.signal,
      server: this.#serverOf(file.format.name),
      // One that somebody uses whom no tool knows must not keep a sweep from all others.
      ...(reason === "swept" ? { inUse: "stays" as const } : {}),
    })
    this.#counts.refused += stays.length
    if (stays.length > 0)
      this.#context.log.info("leases stay", { count: stays.length, reason: stays[0] ?? "" })
    const gone = new Set(keys)
    const removed = chosen.map(entryOf).filter(({ key }) => gone.has(key))
    this.#counts.released += removed.length
    for (const { address, mac, name, owner } of removed) {
      const machine = owner?.machine
      this.#context.emit({ type: "lease-released", address, reason, mac, name, machine })
    }
    return removed
  }

  async #look(
    ask?: (file: Surveyed | undefined) => readonly string[],
  ): Promise<{ readonly found?: Survey; readonly file?: Surveyed; readonly format: string }> {
    if (this.#stop.signal.aborted) throw notRunning("leases")
    const neighbours = this.#around.neighbours ?? hostNeighbours()
    const { homes, path, settings, format } = this.#options
    const isOwn = ({ document }: Surveyed): boolean => document.path === path
    try {
      const found = await survey({
        paths: [path, ...settings],
        ...(format === undefined ? {} : { format }),
        host: { ...this.#around.tools, ...(homes === undefined ? {} : { homes }) },
        disk: this.#disk(),
        now: () => this.#now(),
        neighbours,
        ...(ask === undefined ? {} : { ask: (files) => ask(files.find(isOwn)) }),
        signal: this.#stop.signal,
      })
      const file = found.files.find(isOwn)
      return {
        found,
        ...(file === undefined ? {} : { file }),
        format: file?.format.name ?? format ?? "unknown",
      }
    } catch (error) {
      // A server that has never given an address has no file.
      if (error instanceof SidecarError && error.code === "not-found") return { format: format ?? "unknown" }
      throw error
    }
  }

  /** A failed change is for whoever asked for it; the next one is tried all the same. */
  #after<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#last.then(change)
    this.#last = done.catch(() => undefined)
    return done
  }

  async #sweepForEver(): Promise<void> {
    const { wait = sleep, random = Math.random } = this.#around
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await withSweepDeadline(this.sweep())
      } catch (error) {
        if (this.#stop.signal.aborted) return
        this.#counts.failures++
        this.#context.log.info("cannot sweep", {
          reason: error instanceof Error ? error.message : String(error),
        })
      }
      const every = this.#options.everyMs * (1 + JITTER * random())
      await wait(every, signal).catch(() => undefined) // the loop sees the abort
    }
  }

  /** Only the file says it, which may come after us. */
  #serverOf(format: string): LeaseServer | undefined {
    return this.#around.server ?? serverNamed(format)
  }

  #disk(): Disk {
    return this.#around.disk ?? nodeDisk
  }

  #host(): ServerHost {
    return this.#around.host ?? { run: runProgram, root: "/", platform: process.platform }
  }

  #now(): number {
    return (this.#around.now ?? Date.now)()
  }
}

/** What hangs longer is left to itself: the next one waits behind it, and the log says so. */
async function withSweepDeadline<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new SidecarError("timeout", `Cannot sweep: it has taken ${SWEEP_MS / 1000} s`)),
      SWEEP_MS,
    ).unref()
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
