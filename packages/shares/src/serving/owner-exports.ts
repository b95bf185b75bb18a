/**
 * Owners of a share on their way out of the loop thread: each piece is as long as the other work may wait.
 *
 * ```
 *  begin ──► number ──► next ──► {lines, done: false} ──► next … ──► {lines, done: true}
 *                                                          └─ end, where nobody wants the rest
 * ```
 *
 * @module
 */
import type { OwnersPiece } from "../thread/calls.ts"

/** Directories on the way are held, with their names. */
const MOST = 4
const LINES = 256
const PIECE_MS = 2

/** Of a share that is served: a line for each file with an owner, undefined for each without. */
export type OwnerSteps = Generator<string | undefined>

interface Export {
  readonly share: number
  readonly steps: OwnerSteps
}

export class OwnerExports {
  readonly #now: () => number
  readonly #exports = new Map<number, Export>()
  #last = 0

  /** Milliseconds by any clock. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Throws "busy". */
  begin(share: number, steps: OwnerSteps): number {
    if (this.#exports.size >= MOST) throw coded("busy", `${MOST} exports of owners are under way`)
    const number = ++this.#last
    this.#exports.set(number, { share, steps })
    return number
  }

  /** Throws "ESTALE" where the share has ended, or begun another life, since. */
  next(number: number): OwnersPiece {
    const steps = this.#exports.get(number)?.steps
    if (steps === undefined) throw coded("ESTALE", "the share began anew meanwhile")
    const until = this.#now() + PIECE_MS
    const lines: string[] = []
    do {
      const step = steps.next()
      if (step.done === true) {
        this.#exports.delete(number)
        return { lines, done: true }
      }
      if (step.value !== undefined) lines.push(step.value)
    } while (lines.length < LINES && this.#now() < until)
    return { lines, done: false }
  }

  end(number: number): void {
    const steps = this.#exports.get(number)?.steps
    this.#exports.delete(number)
    steps?.return(undefined)
  }

  /** The file system of a share is gone, and with it whatever was held there. */
  drop(share: number): void {
    for (const [number, each] of this.#exports) if (each.share === share) this.#exports.delete(number)
  }
}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}
