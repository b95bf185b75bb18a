/**
 * Undo in reverse order: our small part of `AsyncDisposableStack`, which Node 20 lacks.
 *
 * @module
 */

type Undo = () => void | PromiseLike<void>

/**
 * Collects what has to be undone. Build a resource with `await using cleanup = new Cleanup()`, add each step, and call
 * `move()` as the last act of a successful start: an early throw then undoes all, newest first.
 */
export class Cleanup implements AsyncDisposable {
  #undos: Undo[] = []
  #disposed: Promise<void> | undefined

  /** Owns `resource` from now on and returns it. */
  use<T extends AsyncDisposable>(resource: T): T {
    this.defer(() => resource[Symbol.asyncDispose]())
    return resource
  }

  defer(undo: Undo): void {
    if (this.#disposed !== undefined) throw new Error("a disposed Cleanup takes no more steps")
    this.#undos.push(undo)
  }

  /** Hands all steps to a new Cleanup and forgets them here. */
  move(): Cleanup {
    const next = new Cleanup()
    next.#undos = this.#undos
    this.#undos = []
    return next
  }

  /** Runs every step even if one fails, then throws the first failure. Idempotent. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#run()
    return this.#disposed
  }

  async #run(): Promise<void> {
    const failures: unknown[] = []
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      try {
        await undo()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
