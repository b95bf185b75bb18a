/**
 * Open directories behind READDIR, whose calls go on at a cookie: what was opened stays open for a moment. A listing that begins opens it anew, so that it
 * shows what is there now.
 *
 * @module
 */
import type { Scope, Timer } from "@skep/loop"
import type { Caller, FileSystem, Handle, NodeId } from "@skep/vfs"

const IDLE_MS = 2000
const CAPACITY = 32

interface OpenDirectory {
  readonly handle: Handle
  usedAt: number
}

export class OpenDirectories {
  readonly #fileSystem: FileSystem
  readonly #scope: Scope
  readonly #open = new Map<NodeId, OpenDirectory>()
  readonly #timer: Timer

  constructor(fileSystem: FileSystem, scope: Scope) {
    this.#fileSystem = fileSystem
    this.#scope = scope
    this.#timer = scope.timer(() => this.#sweep())
  }

  /** A handle that is valid until the next call; or `-errno`. */
  enter(node: NodeId, fromBeginning: boolean, caller: Caller): Handle {
    const known = this.#open.get(node)
    if (known !== undefined) {
      // The order of the map is the order of use.
      this.#open.delete(node)
      if (!fromBeginning) {
        known.usedAt = this.#scope.loop.now
        this.#open.set(node, known)
        return known.handle
      }
      this.#fileSystem.releaseDirectory(known.handle)
    }
    const handle = this.#fileSystem.openDirectory(node, caller)
    if (handle < 0) return handle
    for (const [other] of this.#open) {
      if (this.#open.size < CAPACITY) break
      this.close(other)
    }
    if (this.#open.size === 0) this.#timer.after(IDLE_MS)
    this.#open.set(node, { handle, usedAt: this.#scope.loop.now })
    return handle
  }

  close(node: NodeId): void {
    const known = this.#open.get(node)
    if (known === undefined) return
    this.#open.delete(node)
    this.#fileSystem.releaseDirectory(known.handle)
  }

  clear(): void {
    this.#timer.cancel()
    for (const node of this.#open.keys()) this.close(node)
  }

  #sweep(): void {
    const before = this.#scope.loop.now - IDLE_MS
    for (const [node, { usedAt }] of this.#open) if (usedAt <= before) this.close(node)
    if (this.#open.size > 0) this.#timer.after(IDLE_MS)
  }
}
