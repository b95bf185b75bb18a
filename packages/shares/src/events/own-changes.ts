/**
 * What this process has changed itself, for the guest, and so must not tell the guest again: inotify does not say who changed something.
 *
 * The kernel queues an event before the system call returns that made it. So whatever was done before the queue was read until it was empty
 * has been seen by then, and nothing needs to be remembered longer than from one such moment to the next: no clocks, no counting.
 *
 * @module
 */
import type { NodeId } from "@skep/vfs"
import { placeKey } from "./name.ts"

/** An operation that takes longer than its call. */
interface Running {
  count: number
}

export class OwnChanges {
  readonly #places = new Set<string>()
  readonly #nodes = new Set<NodeId>()
  readonly #running = new Map<NodeId, Running>()
  #last: NodeId = 0

  /** A name came, went or was moved. */
  place(parent: NodeId, name: Uint8Array): void {
    this.#places.add(placeKey(parent, name))
  }

  /** The content or the attributes of a file changed. */
  node(node: NodeId): void {
    if (node === this.#last) return
    this.#last = node
    this.#nodes.add(node)
  }

  begin(node: NodeId): void {
    const running = this.#running.get(node)
    if (running === undefined) this.#running.set(node, { count: 1 })
    else running.count++
  }

  end(node: NodeId): void {
    this.node(node)
    const running = this.#running.get(node)
    if (running === undefined) return
    running.count--
    if (running.count <= 0) this.#running.delete(node)
  }

  hasPlace(parent: NodeId, name: Uint8Array): boolean {
    return this.#places.size > 0 && this.#places.has(placeKey(parent, name))
  }

  hasNode(node: NodeId): boolean {
    return this.#nodes.has(node) || this.#running.has(node)
  }

  /** Whether there is anything to be seen. */
  get isDirty(): boolean {
    return this.#places.size > 0 || this.#nodes.size > 0
  }

  /** inotify's queue is empty. */
  seen(): void {
    if (this.#places.size > 0) this.#places.clear()
    if (this.#nodes.size > 0) this.#nodes.clear()
    this.#last = 0
  }
}
