/**
 * A host client on a socket where a greeting says which port of the guest it wants (`dialect/greeting.ts`).
 *
 * Of what it sends only the greeting is read here: the bytes behind it stay in the socket for the stream. There is no answer to a refusal in
 * either dialect, the socket is closed; the counters say why.
 *
 * @module
 */
import type { Scope } from "@skep/loop"
import type { Region } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { type Dialect, GREETING_MAX, type Refusal } from "./dialect/greeting.ts"
import { GreetingReader } from "./dialect/greeting-reader.ts"

const LINE_FEED = 0x0a

export type Unwelcome = Refusal | "hung-up" | "silent"

export interface GreeterOptions {
  readonly scope: Scope
  /** Owned until one of the two is called, which is called once. */
  readonly fd: number
  readonly guestCid: number
  readonly deadlineMs: number
  /** Room for a greeting; nothing is kept in it. */
  readonly bounce: Region
  /** The descriptor is the hearer's now. */
  readonly onGreeted: (fd: number, port: number, dialect: Dialect) => void
  readonly onRefused: (reason: Unwelcome) => void
}

/** A client that has not yet said what it wants. */
export interface Greeter {
  /** When it came, in the loop's time. */
  readonly since: number
  /** Refuses it as one that says nothing. */
  dismiss(): void
}

/** Reads the greeting of one client. */
export function greet(options: GreeterOptions): Greeter {
  const { fd, bounce } = options
  const scope = options.scope.scope("greeting")
  const reader = new GreetingReader(options.guestCid)
  const refuse = (reason: Unwelcome): void => {
    scope[Symbol.dispose]()
    sys.close(fd)
    options.onRefused(reason)
  }
  const registration = scope.add(fd, sys.EPOLLIN, () => {
    const peeked = sys.receive(fd, bounce.address, GREETING_MAX, sys.MSG_PEEK | sys.MSG_DONTWAIT)
    if (peeked === -sys.EAGAIN) return
    if (peeked <= 0) return refuse("hung-up")
    const feed = bounce.bytes.subarray(0, peeked).indexOf(LINE_FEED)
    const length = feed < 0 ? peeked : feed + 1
    sys.receive(fd, bounce.address, length, sys.MSG_DONTWAIT)
    const greeted = reader.push(bounce.bytes.slice(0, length))
    if (greeted === "more") return
    if (typeof greeted === "string") return refuse(greeted)
    registration.remove()
    scope[Symbol.dispose]()
    options.onGreeted(fd, greeted.port, greeted.dialect)
  })
  scope.timer(() => refuse("silent")).after(options.deadlineMs)
  return { since: scope.loop.now, dismiss: () => refuse("silent") }
}
