/**
 * A poller that reports what a test tells it to, and keeps what it was asked for.
 *
 * @module
 */
import type { Poller } from "@skep/loop"
import * as sys from "@skep/loop/sys"

interface Interest {
  events: number
  token: number
  generation: number
}

export interface FakeEvent extends Interest {}

export class FakePoller implements Poller {
  /** Open descriptors as the kernel knows them: closing one takes its interest away. */
  readonly interests = new Map<number, Interest>()
  readonly waits: number[] = []
  resets = 0
  closed = false
  /** The events of the next wait. */
  next: FakeEvent[] = []
  /** Called in place of blocking. */
  onWait: () => void = () => undefined
  #current: readonly FakeEvent[] = []

  /** An event of `fd` as it is registered now. */
  event(fd: number, events: number = sys.EPOLLIN): FakeEvent {
    const interest = this.interests.get(fd)
    if (interest === undefined) throw new Error(`nobody waits for ${fd}`)
    return { ...interest, events }
  }

  add(fd: number, events: number, token: number, generation: number): number {
    if (fd < 0) return -sys.EBADF
    if (this.interests.has(fd)) return -sys.EEXIST
    this.interests.set(fd, { events, token, generation })
    return 0
  }

  modify(fd: number, events: number, token: number, generation: number): number {
    if (!this.interests.has(fd)) return -sys.ENOENT
    this.interests.set(fd, { events, token, generation })
    return 0
  }

  remove(fd: number): number {
    return this.interests.delete(fd) ? 0 : -sys.ENOENT
  }

  wait(timeoutMs: number): number {
    this.waits.push(timeoutMs)
    this.onWait()
    this.#current = this.next
    this.next = []
    return this.#current.length
  }

  eventsAt(index: number): number {
    return this.#current[index]?.events ?? 0
  }

  tokenAt(index: number): number {
    return this.#current[index]?.token ?? 0
  }

  generationAt(index: number): number {
    return this.#current[index]?.generation ?? 0
  }

  reset(): void {
    this.resets++
    this.interests.clear()
  }

  close(): void {
    this.closed = true
  }
}
