/**
 * The guest's side of the shares: which of them are mounted at their targets. It says what is to be there, again to each guest that comes, and hears
 * what came of it.
 *
 * @module
 */
import { type Context, type ShareProtocol, type ShareRule, SidecarError } from "@skep/contract"
import type { Mount as GuestMount, Place } from "./guest/index.ts"

/** How often a guest is asked in all that does not answer in time: ten minutes of its 30 s. */
const ROUNDS = 20

/** What there is to be done in a guest; see guest/. */
export interface GuestPart extends AsyncDisposable {
  /** Mounts the tree of shares, once a boot. Rejects with "timeout" where the guest may yet do it; so do the others. */
  mount(how: GuestMount): Promise<void>
  /** Puts a directory of another server into the tree. */
  attach(id: string, place: Place): Promise<void>
  /** Shows a directory of the tree at `target`. */
  bind(id: string, target: string, readOnly: boolean): Promise<void>
  unbind(target: string): Promise<void>
  /** All that there is to be is where it belongs: containers may start. */
  announce(): Promise<void>
}

export type Mount =
  | Exclude<GuestMount, { readonly kind: "exports" }>
  /** Each share from a server that knows nothing of the tree. */
  | { readonly kind: "exports"; readonly placeOf: (rule: GuestShare["rule"]) => Place }

/** Looks for the guest until it is disposed. `onReady` comes with each guest that answers, `onLost` when it does no longer. */
export type OpenGuestPart = (events: {
  readonly onReady: () => void
  readonly onLost: () => void
}) => GuestPart

/** By what shares get into the guest, and why in a sentence. */
export interface Choice {
  readonly protocol: ShareProtocol
  readonly reason: string
}

/** A share as the guest has to know it. */
export interface GuestShare {
  readonly number: number
  readonly rule: Pick<ShareRule, "path" | "target" | "readOnly" | "cache">
}

interface Held {
  readonly share: GuestShare
  state: "waiting" | "mounted" | "failed"
  reason?: string
  /** It did not answer in time, and may yet do what it was asked. */
  isLate?: boolean
}

export interface GuestSideOptions {
  readonly open: OpenGuestPart
  /** Ways to mount, the best first. */
  readonly mounts: readonly (Mount & { readonly reason: string })[]
  readonly context: Pick<Context, "log" | "emit">
}

export class GuestSide implements AsyncDisposable {
  readonly #options: GuestSideOptions
  readonly #part: GuestPart
  readonly #held = new Map<string, Held>()
  readonly #counts = { guests: 0, guestMounts: 0, guestFailures: 0 }
  #choice: Choice | undefined
  /** Where shares are that are not in a tree of ours. */
  #placeOf: Extract<Mount, { kind: "exports" }>["placeOf"] | undefined
  /** Which guest it is: what an earlier one answers late is nothing. */
  #guest = 0
  /** Resolves when the guest has its tree; undefined while there is none. */
  #mounted: Promise<void> | undefined

  constructor(options: GuestSideOptions) {
    this.#options = options
    this.#part = options.open({
      onReady: () => this.#welcome(),
      onLost: () => {
        this.#mounted = undefined
      },
    })
  }

  get ready(): boolean {
    return this.#mounted !== undefined
  }

  /** What the guest has taken, or what is tried first. */
  get choice(): Choice {
    return this.#choice ?? firstOf(this.#options.mounts)
  }

  get counters(): Readonly<Record<string, number>> {
    return { ...this.#counts }
  }

  has(number: number): boolean {
    return this.#find(number)?.state === "mounted"
  }

  failureOf(number: number): string | undefined {
    return this.#find(number)?.reason
  }

  /** Resolves when the guest has it, at once where there is no guest yet. Rejects with what the guest says. */
  async put(share: GuestShare): Promise<void> {
    const { target, readOnly, cache } = share.rule
    const before = this.#held.get(target)
    const isSame = before?.share.number === share.number && before.share.rule.readOnly === readOnly
    // Over virtiofs and our own NFS, what may be believed is the server's to say.
    const isAsFresh = this.#placeOf === undefined || before?.share.rule.cache === cache
    if (isSame && isAsFresh && before.state === "mounted") return
    const held: Held = { share, state: "waiting" }
    this.#held.set(target, held)
    if (this.#mounted === undefined) return
    if (before?.state === "mounted") await this.#part.unbind(target)
    await this.#bind(held)
  }

  async remove(target: string): Promise<void> {
    const held = this.#held.get(target)
    this.#held.delete(target)
    if (held === undefined || this.#mounted === undefined) return
    if (held.state !== "mounted" && held.isLate !== true) return
    try {
      await this.#part.unbind(target)
    } catch (error) {
      // What is shared there is stale from now on, whatever the guest says.
      this.#options.context.log.info("share not unmounted", { target, reason: reasonOf(error) })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#part[Symbol.asyncDispose]()
  }

  #find(number: number): Held | undefined {
    return [...this.#held.values()].find(({ share }) => share.number === number)
  }

  #welcome(): void {
    const guest = ++this.#guest
    this.#counts.guests++
    for (const held of this.#held.values()) held.state = "waiting"
    void this.#furnish(guest)
  }

  /** A guest that is only slow gets there: it answers in order, and does nothing twice. */
  async #furnish(guest: number): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      const mounted = this.#mount()
      this.#mounted = mounted
      const isLate = await this.#putAll(mounted)
      // Lost, or another guest's turn.
      if (this.#mounted !== mounted || guest !== this.#guest) return
      await this.#announce()
      if (!isLate || this.#mounted !== mounted) return
    }
  }

  /** Whether some of it may yet come. */
  async #putAll(mounted: Promise<void>): Promise<boolean> {
    try {
      await mounted
    } catch (error) {
      if (this.#mounted !== mounted) return false
      this.#options.context.log.info("shares not mounted", { reason: reasonOf(error) })
      for (const held of this.#held.values()) fail(held, error)
      return isTimeout(error)
    }
    if (this.#mounted !== mounted) return false
    // What cannot be bound says so in its state.
    const wanted = [...this.#held.values()].filter(({ state }) => state !== "mounted")
    const bound = await Promise.allSettled(wanted.map((held) => this.#bind(held)))
    return bound.some((outcome) => outcome.status === "rejected" && isTimeout(outcome.reason))
  }

  async #announce(): Promise<void> {
    try {
      await this.#part.announce()
    } catch (error) {
      this.#options.context.log.info("shares not announced", { reason: reasonOf(error) })
    }
  }

  /** By the first way that the guest takes. */
  async #mount(): Promise<void> {
    let last: unknown
    for (const { reason, ...mount } of this.#options.mounts) {
      try {
        await this.#part.mount(mount.kind === "exports" ? { kind: "exports" } : mount)
        this.#placeOf = mount.kind === "exports" ? mount.placeOf : undefined
        this.#choice = {
          protocol: mount.kind,
          reason: last === undefined ? reason : `${reason}, since ${reasonOf(last)}`,
        }
        return
      } catch (error) {
        // It is still at it, and would put the next one over it when both are done.
        if (isTimeout(error)) throw error
        last = error
      }
    }
    throw last
  }

  async #bind(held: Held): Promise<void> {
    const { number, rule } = held.share
    try {
      await this.#mounted
      if (this.#placeOf !== undefined) await this.#part.attach(String(number), this.#placeOf(rule))
      await this.#part.bind(String(number), rule.target, rule.readOnly)
    } catch (error) {
      this.#counts.guestFailures++
      fail(held, error)
      throw error
    }
    this.#counts.guestMounts++
    held.state = "mounted"
    delete held.reason
    delete held.isLate
    this.#options.context.emit({ type: "share-mounted", target: rule.target })
  }
}

function fail(held: Held, error: unknown): void {
  held.state = "failed"
  held.reason = reasonOf(error)
  held.isLate = isTimeout(error)
}

function isTimeout(error: unknown): boolean {
  return error instanceof SidecarError && error.code === "timeout"
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** By what shares will be mounted if that can be. */
export function firstOf(mounts: GuestSideOptions["mounts"]): Choice {
  const [first] = mounts
  return first === undefined
    ? { protocol: "virtiofs", reason: "nobody was asked to mount anything" }
    : { protocol: first.kind, reason: first.reason }
}
