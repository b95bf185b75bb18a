/**
 * Locks on parts of one file, fcntl(2) "Advisory record locking": those of one owner replace each other, those of different owners conflict
 * where they overlap unless both only read.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Handle, Lock } from "../filesystem.ts"

interface Held extends Readonly<Lock> {
  readonly owner: bigint
  /** Through which it was set: it goes with it. */
  readonly handle: Handle
}

export class RangeLocks {
  #held: readonly Held[] = []

  /** Fills `lock` with the first lock in its way, or sets its type to "none". */
  test(owner: bigint, lock: Lock): void {
    const other = this.#conflict(owner, lock)
    if (other === undefined) {
      lock.type = "none"
      return
    }
    lock.type = other.type
    lock.start = other.start
    lock.end = other.end
    lock.pid = other.pid
  }

  set(handle: Handle, owner: bigint, lock: Lock): number {
    if (lock.type !== "none" && this.#conflict(owner, lock) !== undefined) return -sys.EAGAIN
    const rest = this.#held.flatMap((held) => (held.owner === owner ? without(held, lock) : [held]))
    if (lock.type === "none") this.#held = rest
    else this.#held = merged(rest, { ...lock, owner, handle })
    return 0
  }

  /** Drops what was set through a handle. */
  release(handle: Handle): void {
    if (this.#held.length > 0) this.#held = this.#held.filter((held) => held.handle !== handle)
  }

  #conflict(owner: bigint, lock: Lock): Held | undefined {
    const inTheWay = this.#held.filter(
      (held) =>
        held.owner !== owner && overlap(held, lock) && (held.type === "write" || lock.type === "write"),
    )
    return inTheWay.toSorted((one, other) => one.start - other.start)[0]
  }
}

function overlap(one: Readonly<Lock>, other: Readonly<Lock>): boolean {
  return one.start <= other.end && other.start <= one.end
}

/** What is left of a lock outside a range: nothing, one piece or two. */
function without(held: Held, range: Readonly<Lock>): Held[] {
  if (!overlap(held, range)) return [held]
  const before = { ...held, end: range.start - 1 }
  const after = { ...held, start: range.end + 1 }
  return [before, after].filter((piece) => piece.start <= piece.end)
}

/** Joins a new lock with its neighbours that differ in nothing but where they are. */
function merged(locks: readonly Held[], added: Held): readonly Held[] {
  let { start, end } = added
  const others = locks.filter((held) => {
    const same = held.owner === added.owner && held.type === added.type && held.handle === added.handle
    if (!same || held.start > end + 1 || held.end + 1 < start) return true
    start = Math.min(start, held.start)
    end = Math.max(end, held.end)
    return false
  })
  return [...others, { ...added, start, end }]
}
