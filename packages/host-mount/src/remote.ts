/**
 * The server behind a mount: one connection at a time, another one when it is lost, until the machine is gone. Every use of it has a deadline.
 *
 * @module
 */
import type { Log } from "@skep/contract"
import { sleep, withResolvers } from "@skep/runtime/deadline"
import type { SFTPWrapper } from "ssh2"
import { FileError, statusOf } from "./errno.ts"

/** A connection past its authentication. `lost` rejects when it ends for whatever reason. */
export interface Link {
  readonly sftp: SFTPWrapper
  readonly lost: Promise<never>
  readonly end: () => void
}

export interface RemoteOptions {
  /** Makes a connection, or rejects within some seconds. */
  readonly connect: (signal: AbortSignal) => Promise<Link>
  /** Whether the machine has ended for good: asked while there is no connection. */
  readonly isGone: () => boolean
  readonly deadlineMs: number
  readonly log: Log
}

export interface Use {
  /** Tries once more over another connection when this one is lost on the way: for what changes nothing. */
  readonly again?: boolean
  /** Only over the connection of this number: handles die with theirs. */
  readonly only?: number
}

export interface Doing {
  /** The number of the connection that it is done on. */
  readonly connection: number
  /** Whether nobody waits for it any more. */
  readonly isOver: () => boolean
}

export type Work<T> = (sftp: SFTPWrapper, doing: Doing) => Promise<T>

const PAUSE_MS = 250

interface Current {
  readonly link: Link
  /** Counts connections, from 1. */
  readonly number: number
}

export class Remote implements Disposable {
  readonly #options: RemoteOptions
  readonly #stop = new AbortController()
  readonly #gone = withResolvers<void>()
  #number = 0
  #current: Promise<Current>
  #arrived: (current: Current) => void = () => undefined
  /** How to tell those who wait for an answer that there will be none: at the end of all, and of this connection. */
  readonly #waiting = new Set<() => void>()
  readonly #onLost = new Set<(reason: unknown) => void>()
  readonly counters = { requests: 0, errors: 0, deadlines: 0, reconnects: 0 }

  /** `first` is connected already. */
  constructor(first: Link, options: RemoteOptions) {
    this.#options = options
    this.#number = 1
    this.#current = Promise.resolve({ link: first, number: 1 })
    void this.#keep(first)
  }

  /** Resolves when the machine is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise
  }

  /**
   * Runs `work` on the connection. Rejects with EIO when there is none in time, or no answer; what was not begun by then never is, and who finds
   * in the middle of its work that it is `over` takes back what nobody will have asked for.
   */
  async use<T>(work: Work<T>, how: Use = {}): Promise<T> {
    this.counters.requests++
    const { promise, resolve, reject } = withResolvers<T>()
    let over = false
    const fail = (): void => {
      over = true
      reject(new FileError("EIO"))
    }
    const timer = setTimeout(() => {
      this.counters.deadlines++
      fail()
    }, this.#options.deadlineMs)
    // Not by a race with something that lasts: each race would be kept as long as that.
    this.#waiting.add(fail)
    if (this.#stop.signal.aborted) fail()
    this.#try(work, how, () => over).then(resolve, reject)
    try {
      return await promise
    } catch (error) {
      this.counters.errors++
      throw error
    } finally {
      over = true
      clearTimeout(timer)
      this.#waiting.delete(fail)
    }
  }

  async #try<T>(work: Work<T>, how: Use, isOver: () => boolean): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const { link, number } = await this.#current
      if (isOver() || (how.only !== undefined && how.only !== number)) throw new FileError("EIO")
      try {
        return await this.#onLink((failed) =>
          work(link.sftp, { connection: number, isOver: () => isOver() || failed() }),
        )
      } catch (error) {
        if (error instanceof FileError || statusOf(error) !== undefined) throw error
        if (how.again !== true || attempt > 0) throw new FileError("EIO", { cause: error })
        // The way was lost: whoever keeps it has noticed by the next turn.
        await new Promise(setImmediate)
      }
    }
  }

  /** Settles as the work does, or rejects when the connection is lost under it. */
  #onLink<T>(work: (failed: () => boolean) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = withResolvers<T>()
    let lost = false
    const onLost = (reason: unknown): void => {
      lost = true
      reject(reason)
    }
    this.#onLost.add(onLost)
    void work(() => lost)
      .then(resolve, reject)
      .finally(() => this.#onLost.delete(onLost))
    return promise
  }

  async #keep(first: Link): Promise<void> {
    for (let link: Link | undefined = first; link !== undefined; ) {
      const reason = await link.lost.catch((error: unknown) => error)
      for (const onLost of this.#onLost)
        onLost(reason instanceof Error ? reason : new Error("connection lost"))
      this.#onLost.clear()
      const next = withResolvers<Current>()
      this.#current = next.promise
      this.#arrived = next.resolve
      if (this.#stop.signal.aborted) return
      this.#options.log.info("connection lost", { reason: String(reason) })
      link = await this.#another()
    }
  }

  /** Undefined when there will be none. */
  async #another(): Promise<Link | undefined> {
    const { signal } = this.#stop
    while (!signal.aborted && !this.#options.isGone()) {
      const over = new AbortController()
      const look = setInterval(() => {
        if (this.#options.isGone()) over.abort(new Error("the machine is gone"))
      }, PAUSE_MS)
      try {
        const link = await this.#options.connect(AbortSignal.any([signal, over.signal]))
        this.#number++
        this.counters.reconnects++
        this.#options.log.info("connected again", { connection: this.#number })
        // Where the mount has ended meanwhile, its disposal waits for this one and ends it.
        this.#arrived({ link, number: this.#number })
        return link
      } catch (error) {
        this.#options.log.debug("cannot connect", { reason: String(error) })
        await sleep(PAUSE_MS, signal).catch(() => undefined) // stopped
      } finally {
        clearInterval(look)
      }
    }
    if (!signal.aborted) this.#gone.resolve()
    return undefined
  }

  /** Ends the connection; whoever waits for an answer gets EIO. */
  [Symbol.dispose](): void {
    if (this.#stop.signal.aborted) return
    this.#stop.abort(new Error("the mount ends"))
    for (const fail of this.#waiting) fail()
    void this.#current.then(({ link }) => link.end())
  }
}
