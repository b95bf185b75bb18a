/**
 * The names of a directory in the order in which they were made, each with a cookie that stays its own: reading goes on behind one even where it was removed.
 *
 * @module
 */
import type { Inode } from "./inode.ts"
import type { Key } from "./name.ts"

export interface Entry {
  readonly key: Key
  readonly cookie: number
  inode: Inode
}

/** Cookies of `.` and `..`; those of names come after. */
export const DOT_COOKIE = 1
export const DOT_DOT_COOKIE = 2

/** So few holes are not worth a new array. */
const HOLES_MIN = 64

export class Entries {
  readonly #byKey = new Map<Key, Entry>()
  /** By cookie, with holes where entries were removed. */
  #ordered: Entry[] = []
  #next = DOT_DOT_COOKIE + 1

  get size(): number {
    return this.#byKey.size
  }

  get(key: Key): Inode | undefined {
    return this.#byKey.get(key)?.inode
  }

  /** Gives a name to an inode; a name that is there keeps its cookie. */
  set(key: Key, inode: Inode): void {
    const there = this.#byKey.get(key)
    if (there !== undefined) {
      there.inode = inode
      return
    }
    const entry = { key, cookie: this.#next++, inode }
    this.#byKey.set(key, entry)
    this.#ordered.push(entry)
  }

  delete(key: Key): void {
    this.#byKey.delete(key)
    const holes = this.#ordered.length - this.#byKey.size
    if (holes > HOLES_MIN && holes > this.#byKey.size)
      this.#ordered = this.#ordered.filter((entry) => this.#isThere(entry))
  }

  /** Calls `visit` with each entry behind a cookie until it returns false. Names may come and go meanwhile. */
  after(cookie: number, visit: (entry: Entry) => boolean): void {
    const ordered = this.#ordered
    for (let index = this.#indexAfter(cookie); index < ordered.length; index++) {
      const entry = ordered[index]
      if (entry !== undefined && this.#isThere(entry) && !visit(entry)) return
    }
  }

  #isThere(entry: Entry): boolean {
    return this.#byKey.get(entry.key) === entry
  }

  #indexAfter(cookie: number): number {
    let low = 0
    let high = this.#ordered.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ordered[middle]?.cookie ?? Infinity) <= cookie) low = middle + 1
      else high = middle
    }
    return low
  }
}
