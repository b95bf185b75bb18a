/**
 * Addresses of which it is not known whether a machine has them. Who finds by Duplicate Address Detection (RFC 4862, section 5.4) that an IPv6 address
 * is free says nothing more of it until somebody asks; and who starts anew may have others than before. So it is asked, when it must have found out.
 *
 * @module
 */
import type { Key } from "./neighbour-table.ts"

/** RFC 4861, section 10: RETRANS_TIMER, which is how long the detection waits; and a little for the machine. */
const WAIT_MS = 1100
const TRIES_MAX = 3
/** Of one machine; more wait for its oldest, which is forgotten. */
const PER_MACHINE = 16

export interface Probe {
  readonly key: Key
  readonly address: Uint8Array
  readonly machine: number
}

interface Waiting extends Probe {
  tries: number
  atMs: number
}

export class Probes {
  readonly #waiting = new Map<Key, Waiting>()
  #nextMs = Number.POSITIVE_INFINITY

  get size(): number {
    return this.#waiting.size
  }

  /** A machine looks whether somebody has the address. */
  note(probe: Probe, nowMs: number): void {
    const before = this.#waiting.get(probe.key)
    if (before !== undefined && before.machine !== probe.machine) return
    this.#waiting.delete(probe.key)
    this.#makeRoom(probe.machine)
    this.#waiting.set(probe.key, { ...probe, tries: 0, atMs: nowMs + WAIT_MS })
    this.#nextMs = Math.min(this.#nextMs, nowMs + WAIT_MS)
  }

  /** The address has turned out to be somebody's. */
  settle(key: Key): void {
    this.#waiting.delete(key)
  }

  forget(machine: number): void {
    for (const probe of this.#waiting.values()) if (probe.machine === machine) this.#waiting.delete(probe.key)
  }

  /** When `next` has something; too early is no harm. */
  pollAt(): number {
    return this.#waiting.size === 0 ? Number.POSITIVE_INFINITY : this.#nextMs
  }

  /** One that is to be asked now; it counts as asked. `onSilence` is called for those that were asked as often as they are, in vain. */
  next(nowMs: number, onSilence: (probe: Probe) => void): Probe | undefined {
    if (nowMs < this.pollAt()) return undefined
    let due: Waiting | undefined
    this.#nextMs = Number.POSITIVE_INFINITY
    for (const probe of this.#waiting.values()) {
      if (probe.atMs <= nowMs && probe.tries === TRIES_MAX) {
        this.#waiting.delete(probe.key)
        onSilence(probe)
        continue
      }
      if (due === undefined && probe.atMs <= nowMs) {
        due = probe
        probe.tries++
        probe.atMs = nowMs + WAIT_MS
      }
      this.#nextMs = Math.min(this.#nextMs, probe.atMs)
    }
    return due
  }

  #makeRoom(machine: number): void {
    let oldest: Key | undefined
    let count = 0
    for (const probe of this.#waiting.values()) {
      if (probe.machine !== machine) continue
      oldest ??= probe.key
      count++
    }
    if (oldest !== undefined && count >= PER_MACHINE) this.#waiting.delete(oldest)
  }
}
