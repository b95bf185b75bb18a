/**
 * Collects a greeting from whatever pieces it arrives in.
 *
 * @module
 */
import { GREETING_MAX, type Greeting, parse, type Refusal } from "./greeting.ts"

/** `rest` is what came after the greeting in the last piece: a view into it, the first bytes of the stream. */
export interface Greeted extends Pick<Greeting, "dialect" | "port"> {
  readonly rest: Uint8Array
}

/** Holds at most GREETING_MAX bytes. Of no use once it said anything but "more". */
export class GreetingReader {
  readonly #guestCid: number
  readonly #seen: Uint8Array = new Uint8Array(GREETING_MAX)
  #length = 0

  constructor(guestCid: number) {
    this.#guestCid = guestCid
  }

  push(chunk: Uint8Array): Greeted | Refusal | "more" {
    const before = this.#length
    const taken = chunk.subarray(0, GREETING_MAX - before)
    this.#seen.set(taken, before)
    this.#length += taken.length
    const greeting = parse(this.#seen, 0, this.#length, this.#guestCid)
    if (typeof greeting === "string") return greeting
    const { dialect, port, end } = greeting
    return { dialect, port, rest: chunk.subarray(end - before) }
  }
}
