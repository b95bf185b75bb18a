/**
 * Streams opened before they are asked for, where opening one is dear: a process in the guest for each.
 *
 * @module
 */
import type { Duplex } from "node:stream"

type Open = (signal: AbortSignal) => Promise<Duplex>

/** Keeps up to `count` streams from the first use on. Only for an engine that speaks when spoken to: what a spare one says is lost. */
export class SpareStreams {
  readonly #open: Open
  readonly #count: number
  readonly #spares: Duplex[] = []
  #opening = 0

  constructor(open: Open, count: number) {
    this.#open = open
    this.#count = count
  }

  /** A spare one if there is one, otherwise a new one. */
  async take(signal: AbortSignal): Promise<Duplex> {
    const spare = this.#spares.shift()
    if (spare !== undefined) {
      spare.removeAllListeners()
      spare.pause()
    }
    const taken = spare ?? (await this.#open(signal))
    this.#refill()
    return taken
  }

  #refill(): void {
    while (this.#spares.length + this.#opening < this.#count) {
      this.#opening += 1
      this.#open(new AbortController().signal).then(
        (stream) => this.#keep(stream),
        () => {
          this.#opening -= 1 // whoever needs one asks for it and hears why
        },
      )
    }
  }

  #keep(stream: Duplex): void {
    this.#opening -= 1
    if (stream.destroyed) return
    this.#spares.push(stream)
    const drop = (): void => {
      const at = this.#spares.indexOf(stream)
      if (at >= 0) this.#spares.splice(at, 1)
      stream.destroy()
    }
    stream.once("end", drop)
    stream.once("close", drop)
    stream.on("error", drop)
    stream.resume() // so that its end is seen
  }
}
