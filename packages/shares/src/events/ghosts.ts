/**
 * Files that are not there (any more), for the guest's kernel: to tell that a file was removed it has to remove one, so it gets one to remove.
 *
 * @module
 */
import type { Attributes, NodeId } from "@skep/vfs"

/** Numbers of ghosts are in the upper half of a share's, which no file reaches. */
export const GHOST_FIRST: number = 2 ** 43
const SPAN = 2 ** 43
/** Ghosts a second without meeting those of a former process, on average over its life. */
const PER_SECOND = 512
const GHOSTS_MAX = 65_536
const TYPE_SHIFT = 12
const ALL_MAY = 0o777
const BLOCK = 4096
const WORD = 2 ** 32

interface Ghost {
  readonly type: number
  references: number
}

/** Whether a node of a share is no file: what the guest learns of it must not be kept. */
export function isGhost(node: NodeId): boolean {
  return node >= GHOST_FIRST
}

export class Ghosts {
  readonly #ghosts = new Map<NodeId, Ghost>()
  #next: number

  /** `nowMs` makes numbers that no former process gave out. */
  constructor(nowMs: number) {
    this.#next = (Math.floor(nowMs / 1000) * PER_SECOND) % SPAN
  }

  get size(): number {
    return this.#ghosts.size
  }

  /** Returns a new one, with one reference, and fills `into`; 0 when there are too many. */
  raise(type: number, into: Attributes): NodeId {
    if (this.#ghosts.size >= GHOSTS_MAX) return 0
    const node = GHOST_FIRST + this.#next
    this.#next = (this.#next + 1) % SPAN
    this.#ghosts.set(node, { type, references: 1 })
    dress(node, type, into)
    return node
  }

  /** Counts a reference of one that is there already. False where it is none. */
  again(node: NodeId, into: Attributes): boolean {
    const ghost = this.#ghosts.get(node)
    if (ghost === undefined) return false
    ghost.references++
    dress(node, ghost.type, into)
    return true
  }

  show(node: NodeId, into: Attributes): boolean {
    const ghost = this.#ghosts.get(node)
    if (ghost === undefined) return false
    dress(node, ghost.type, into)
    return true
  }

  forget(node: NodeId, count: number): void {
    const ghost = this.#ghosts.get(node)
    if (ghost === undefined) return
    ghost.references -= count
    if (ghost.references <= 0) this.#ghosts.delete(node)
  }
}

/** Attributes of a file of which nothing is known but what it was. */
export function dress(node: NodeId, type: number, into: Attributes): void {
  into.inoLow = node % WORD
  into.inoHigh = Math.floor(node / WORD)
  into.device = 0
  into.mode = (type << TYPE_SHIFT) | ALL_MAY
  into.links = 1
  into.uid = 0
  into.gid = 0
  into.rdev = 0
  into.size = 0
  into.blocks = 0
  into.blockSize = BLOCK
  into.accessSeconds = 0
  into.accessNanoseconds = 0
  into.modifySeconds = 0
  into.modifyNanoseconds = 0
  into.changeSeconds = 0
  into.changeNanoseconds = 0
}
