/**
 * What a loop needs from the kernel. `Epoll` is the real one; tests bring one that returns what they like.
 *
 * @module
 */

export interface Poller {
  /** `token` and `generation` come back with each event of `fd`. Returns 0 or `-errno`. */
  add(fd: number, events: number, token: number, generation: number): number
  modify(fd: number, events: number, token: number, generation: number): number
  remove(fd: number): number
  /** Waits up to `timeoutMs`, Infinity for ever, 0 not at all. Returns how many events there are, or `-errno`. */
  wait(timeoutMs: number): number
  eventsAt(index: number): number
  tokenAt(index: number): number
  generationAt(index: number): number
  /** Forgets every descriptor, also those that can no longer be named. */
  reset(): void
  close(): void
}
