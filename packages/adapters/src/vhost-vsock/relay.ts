/**
 * A stream between a socket of the guest and one of the host: two ways, and who ends what.
 *
 * ```
 *  guest ── toHost ──► host       an end of one way is passed on; when both ways are over, both sockets are closed
 *  guest ◄─ toGuest ── host       a reset of either socket closes both at once
 * ```
 *
 * @module
 */
import type { Registration, Scope } from "@skep/loop"
import type { Region } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { Way } from "./way.ts"

/** Edge-triggered: a socket whose other end hung up reports that for ever otherwise, whatever it is asked for. */
const EVENTS = sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLRDHUP | sys.EPOLLET
const READABLE = sys.EPOLLIN | sys.EPOLLRDHUP | sys.EPOLLHUP | sys.EPOLLERR

export interface RelayOptions {
  readonly scope: Scope
  /** Connected and non-blocking; owned from now on. */
  readonly guest: number
  readonly host: number
  /** For payload on its way, one for all relays: nothing is kept in it. */
  readonly bounce: Region
  readonly onBytes: (direction: "toGuest" | "toHost", bytes: number) => void
  /** The sockets are closed. Not called by the end of the scope. */
  readonly onEnd: () => void
}

export class Relay {
  readonly toHost: Way
  readonly toGuest: Way
  readonly #scope: Scope
  readonly #onEnd: () => void

  constructor({ scope, guest, host, bounce, onBytes, onEnd }: RelayOptions) {
    this.#scope = scope.scope("relay")
    this.#onEnd = onEnd
    const count = (direction: "toGuest" | "toHost") => (bytes: number) => onBytes(direction, bytes)
    this.toHost = new Way({ giver: guest, taker: host, bounce, count: count("toHost") })
    this.toGuest = new Way({ giver: host, taker: guest, bounce, count: count("toGuest") })
    this.#watch(guest, this.toHost, this.toGuest)
    this.#watch(host, this.toGuest, this.toHost)
  }

  /** `from` and `to` are the ways that the socket gives and takes by. */
  #watch(fd: number, from: Way, to: Way): void {
    const registration: Registration = this.#scope.adopt(fd, EVENTS, (events) => {
      if ((events & READABLE) !== 0) from.readable = true
      if ((events & sys.EPOLLOUT) !== 0) to.onWritable()
      // Nobody is left to take anything; what was sent before can still be read.
      if ((events & sys.EPOLLHUP) !== 0) to.giveUp()
      this.#move(registration)
    })
  }

  #move(registration: Registration): void {
    for (const way of [this.toHost, this.toGuest]) {
      const result = way.move()
      if (result === "failed") return this.#end()
      if (result === "again") registration.again(sys.EPOLLIN)
    }
    this.#lookForTheDeaf(this.toHost, this.toGuest)
    this.#lookForTheDeaf(this.toGuest, this.toHost)
    if (this.toHost.state === "over" && this.toGuest.state === "over") this.#end()
  }

  /**
   * A guest that closed looks like one that only finished sending: AF_VSOCK reports both as an end, and no EPOLLHUP. Sending nothing at all
   * tells them apart, since it fails where the other end takes no more (Linux net/vmw_vsock/af_vsock.c; read there, not seen on a real guest).
   */
  #lookForTheDeaf(from: Way, to: Way): void {
    if (from.state === "open" || to.state === "over") return
    const result = sys.send(from.giver, 0, 0, sys.MSG_DONTWAIT)
    if (result < 0 && result !== -sys.EAGAIN) to.giveUp()
  }

  #end(): void {
    this.#scope[Symbol.dispose]()
    this.#onEnd()
  }
}
