/**
 * How a keeper comes by its front end: it listens for one, or goes to one that listens.
 *
 * ```
 *   listening   ──accepted──► there ──accepted: the first one must be dead──► there
 *   connecting  ──connected──► there ──lost──► connecting, after 10 ms if it had said anything, else twice as long as last time, up to 1 s
 * ```
 *
 * QEMU listens with `-chardev socket,server=on`, waits for the first client, and takes another when it has lost one.
 *
 * @module
 */
import type { Scope, Timer } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { acceptClients } from "../socket/acceptor.ts"
import { Backoff } from "./backoff.ts"

export type Front =
  /** A listening socket, owned from now on. */
  | { readonly listen: number }
  /** Connects to the front end, without waiting: a non-blocking descriptor, or `-errno`. */
  | { readonly connect: () => number }

export interface FrontDoorOptions {
  readonly scope: Scope
  readonly front: Front
  /** A front end; its descriptor is the hearer's. Where another is there, that one is dead and its hang-up still on the way. */
  readonly onFront: (fd: number) => void
  /** Why there is none; not again before there was one, or before the reason is another. */
  readonly onNone: (reason: string) => void
}

export class FrontDoor {
  readonly #options: FrontDoorOptions
  readonly #backoff = new Backoff()
  readonly #retry: Timer
  #told = ""

  constructor(options: FrontDoorOptions) {
    this.#options = options
    const { scope, front } = options
    this.#retry = scope.timer(() => this.#connect())
    if ("connect" in front) this.#retry.after(0)
    else {
      acceptClients({
        scope,
        fd: front.listen,
        onClient: (fd) => this.#found(fd),
        onPause: (error) => this.#none(`cannot accept a front end: ${sys.errnoName(error ?? 0)}`),
      })
    }
  }

  /** The front end is gone. `spoke`: it had said something, so that another attempt is worth while at once. */
  lost(spoke: boolean): void {
    if (spoke) this.#backoff.reset()
    if ("connect" in this.#options.front) this.#retry.after(this.#backoff.next())
  }

  #connect(): void {
    const { front } = this.#options
    if (!("connect" in front)) return
    const fd = front.connect()
    if (fd >= 0) {
      this.#found(fd)
      return
    }
    this.#none(`no front end: ${sys.errnoName(-fd)}`)
    this.#retry.after(this.#backoff.next())
  }

  #found(fd: number): void {
    this.#told = ""
    this.#options.onFront(fd)
  }

  #none(reason: string): void {
    if (this.#told === reason) return
    this.#told = reason
    this.#options.onNone(reason)
  }
}
