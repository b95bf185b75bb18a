/**
 * Keeps a keeper running beside a machine, and tells how its devices are.
 *
 * Another keeper knows nothing of what its predecessor was told. QEMU takes its connection, but tells it of a device only when the guest's
 * driver starts that device anew: until then the device is "lost", and every stream and request on it has ended.
 *
 * @module
 */
import type { DeviceStatus } from "@skep/contract"
import { SidecarError } from "@skep/contract"
import { type Remote, Supervisor, withDeadline } from "@skep/runtime"
import type { KeptBackEnd } from "../description.ts"
import type { Environment } from "../machine/environment.ts"
import { adoptKeeper, endKeeper, type KeeperProcessOptions, spawnKeeper } from "./process.ts"
import type { KeeperStatus } from "./status.ts"

/** A keeper without QEMU for this long has been forgotten by everybody. */
const LONELY_MS = 30_000
/** One that does not answer must not make the launcher look silent as well: whoever asks that gives up after some seconds. */
const ANSWER_MS = 1000

export class Upkeep implements AsyncDisposable {
  readonly #env: Environment
  readonly #devices: readonly KeptBackEnd[]
  readonly #keeper: Supervisor<Remote<KeeperStatus>>
  /** Set while a device may exist that the keeper was not told of. */
  #ignorant = false

  /** `found`: the machine ran before this launcher did. */
  constructor(env: Environment, devices: readonly KeptBackEnd[], found: boolean) {
    this.#env = env
    this.#devices = devices
    this.#keeper = new Supervisor({
      name: "keeper",
      log: env.context.log,
      open: async (signal) => {
        const running = await adoptKeeper(this.#wanted(signal))
        if (running !== undefined) {
          this.#ignorant ||= (await running.status()).late
          return running
        }
        this.#ignorant ||= found
        return await spawnKeeper(this.#wanted(signal))
      },
      onDown: () => {
        this.#ignorant = true
        env.context.emit({ type: "keeper-lost" })
      },
      onUp: () => {
        if (this.#ignorant) env.context.emit({ type: "keeper-restarted" })
      },
    })
  }

  /** Fulfils when a keeper runs; rejects when the first attempt failed. */
  get ready(): Promise<unknown> {
    return this.#keeper.ready
  }

  get counters(): Readonly<Record<string, number>> {
    return { keeperLosses: this.#keeper.losses }
  }

  async devices(): Promise<readonly DeviceStatus[]> {
    const kept = (await this.#ask())?.devices ?? []
    if (kept.length > 0 && kept.every(({ runs }) => runs)) this.#ignorant = false
    return this.#devices.map(({ name }) => {
      const { state = "unkept", runs = false } = kept.find((each) => each.name === name) ?? {}
      return { name, state: state !== "unkept" && this.#ignorant && !runs ? "lost" : state, runs }
    })
  }

  /** Ends the keeper: the machine is over. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keeper[Symbol.asyncDispose]()
    // Also the one that was there, and could not be reached any more.
    await endKeeper(this.#env.paths.keeper)
  }

  #wanted(signal: AbortSignal): KeeperProcessOptions {
    const { paths, context } = this.#env
    return {
      options: {
        devices: this.#devices.map(({ name, socket }) => ({
          name,
          front: paths.fronts[name] ?? "",
          back: socket,
        })),
        lonelyMs: LONELY_MS,
        late: this.#ignorant,
      },
      control: paths.keeper,
      logFile: paths.keeperLog,
      signal,
      emit: (event) => {
        if (event.type === "device") context.emit(event)
      },
    }
  }

  async #ask(): Promise<KeeperStatus | undefined> {
    const { running } = this.#keeper
    if (running === undefined) return undefined
    try {
      return await withDeadline("ask the keeper", ANSWER_MS, neverAborts, () => running.status())
    } catch (error) {
      if (error instanceof SidecarError) return undefined // it hangs, or is gone, and the supervisor is about to see it
      throw error
    }
  }
}

const neverAborts = new AbortController().signal
