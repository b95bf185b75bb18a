/**
 * Turns of Node's event loop: whatever it brings in one round is settled together, behind it.
 *
 * ```
 *  poll ─► callbacks of sockets ─► begin() … ─► check phase ─► later, then the hooks at the end ─► poll
 * ```
 *
 * @module
 */

export class Turns implements Disposable {
  readonly #hooks = new Set<() => void>()
  #later: (() => void)[] = []
  #immediate: NodeJS.Immediate | undefined
  #over = false

  /** Something has happened that is to be settled: called before the core is. */
  begin(): void {
    if (this.#over) return
    this.#immediate ??= setImmediate(() => this.#end())
  }

  /** Does `callback` at the end of this turn; of the next one, where that has begun. */
  later(callback: () => void): void {
    this.#later.push(callback)
    this.begin()
  }

  /** Calls `callback` at the end of every turn, until the function that is returned is called. */
  onEnd(callback: () => void): () => void {
    this.#hooks.add(callback)
    return () => void this.#hooks.delete(callback)
  }

  /** Nothing is called any more. */
  [Symbol.dispose](): void {
    this.#over = true
    if (this.#immediate !== undefined) clearImmediate(this.#immediate)
    this.#later = []
    this.#hooks.clear()
  }

  #end(): void {
    const later = this.#later
    this.#later = []
    for (const callback of later) callback()
    for (const hook of this.#hooks) hook()
    // Only now: what the hooks bring about is settled by them.
    this.#immediate = undefined
    if (this.#later.length > 0) this.begin()
  }
}
