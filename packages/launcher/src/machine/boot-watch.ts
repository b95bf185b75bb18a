/**
 * A guest that hangs in its boot, after its first line: it is reset, a few times.
 *
 *     booting ── prints, its disks work, or it is paused ──► booting, its patience begins anew
 *       ├── reaches the phase that ends its boot, fails, panics, ends ──► not watched, before it resets itself
 *       └── nothing of all that for `bootSilenceMs` ──► `system_reset` ──► booting; the fourth time it has failed
 *
 * A disk that works is no hang: a file system is checked without a word. Nothing runs here once a guest has booted.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { Qmp } from "@skep/qmp"
import { sleep, withDeadline } from "@skep/runtime"
import * as z from "zod"
import type { Environment } from "./environment.ts"
import type { Machine } from "./machine.ts"

const RESTARTS_MAX = 3
/** How often within its patience a guest is looked at. */
const LOOKS = 8
const MONITOR_MS = 5000
const CONSOLE_TAIL_LINES = 12

const BlockStats = z.array(
  z.object({ stats: z.object({ rd_operations: z.number(), wr_operations: z.number() }) }),
)

export class BootWatch implements Disposable {
  readonly #env: Environment
  readonly #machine: Machine
  readonly #over = new AbortController()
  #restarts = 0
  /** Of the guest, which boot this is: a watch ends with its boot. */
  #boot = 0
  /** A reset that was asked for here, and has not come yet. */
  #asked = false

  /** Watches this boot, and those that follow when the guest resets itself. A description without a `bootedPhase` is not watched. */
  constructor(env: Environment, machine: Machine) {
    this.#env = env
    this.#machine = machine
    const { bootedPhase } = env.options
    if (bootedPhase === undefined) return
    machine.onEnd(() => this[Symbol.dispose]())
    machine.onReset = () => {
      if (!this.#asked) this.#start(bootedPhase)
      this.#asked = false
    }
    this.#start(bootedPhase)
  }

  get counters(): Readonly<Record<string, number>> {
    return { bootRestarts: this.#restarts }
  }

  [Symbol.dispose](): void {
    this.#over.abort(new SidecarError("not-running", "The machine is over"))
  }

  #start(bootedPhase: string): void {
    this.#watch(bootedPhase, ++this.#boot).catch((error: unknown) => {
      if (!this.#over.signal.aborted)
        this.#env.context.log.info("boot not watched", { reason: String(error) })
    })
  }

  async #watch(bootedPhase: string, boot: number): Promise<void> {
    const { signal } = this.#over
    const { bootSilenceMs } = this.#env.options
    const goesOn = (): boolean => boot === this.#boot && this.#machine.isBooting(bootedPhase)
    let quietMs = 0
    let again = 0
    let before = await this.#signOfLife()
    while (goesOn()) {
      const began = performance.now()
      await sleep(bootSilenceMs / LOOKS, signal)
      const now = await this.#signOfLife()
      // What a busy host adds to a pause is not the guest's silence.
      quietMs =
        now === before ? quietMs + Math.min(performance.now() - began, (2 * bootSilenceMs) / LOOKS) : 0
      before = now
      if (quietMs < bootSilenceMs || !goesOn()) continue
      const moved = `neither its console nor its disks moved for ${bootSilenceMs / 1000} s`
      if (again === RESTARTS_MAX) return this.#machine.fail("boot", `${moved}, ${again + 1} times`)
      if (!(await this.#restart(++again))) return this.#machine.fail("boot", `${moved}, nor does QEMU answer`)
      quietMs = 0
    }
  }

  /** Returns whether QEMU did it. */
  async #restart(again: number): Promise<boolean> {
    const { context, console, options } = this.#env
    const seconds = options.bootSilenceMs / 1000
    const { accelerator, phases } = this.#machine
    const reached = phases.at(-1)?.name ?? "none"
    const tail = console.tail(CONSOLE_TAIL_LINES)
    context.log.info("guest hangs in its boot, starting it again", { seconds, again, reached, console: tail })
    context.emit({ type: "restarted-silent", accelerator, seconds, again })
    this.#restarts++
    this.#asked = true
    return (await this.#ask((qmp, signal) => qmp.execute("system_reset", undefined, signal))) !== undefined
  }

  /** Changes whenever the guest does something that can be seen from outside. */
  async #signOfLife(): Promise<string> {
    const { state } = this.#machine
    const printed = this.#env.console.counters["consoleBytes"]
    // A monitor that does not answer is no sign of life, and no reason to stop looking.
    const answer = await this.#ask((qmp, signal) => qmp.execute("query-blockstats", undefined, signal))
    const parsed = BlockStats.safeParse(answer)
    const disks = parsed.success ? parsed.data : []
    const operations = disks.map(({ stats }) => stats.rd_operations + stats.wr_operations)
    // One that is paused is always about to move.
    return `${printed} ${operations.join(" ")} ${state === "paused" ? performance.now() : ""}`
  }

  async #ask(work: (qmp: Qmp, signal: AbortSignal) => Promise<unknown>): Promise<unknown> {
    const { qmp } = this.#machine
    if (qmp === undefined) return undefined
    try {
      return await withDeadline("ask QEMU", MONITOR_MS, this.#over.signal, (signal) => work(qmp, signal))
    } catch (error) {
      this.#over.signal.throwIfAborted()
      if (error instanceof SidecarError) return undefined
      throw error
    }
  }
}
