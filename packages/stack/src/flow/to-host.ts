/**
 * What goes from a guest to its host's socket: gathered by address in a turn, written by one call at its end; what came too early, or was not taken,
 * is kept.
 *
 * @module
 */
import { type Memory, Parts } from "@skep/link"
import { EAGAIN, ECONNRESET, type HostStream } from "../host/host.ts"
import type { ReceiveSide } from "../tcp/receive.ts"
import type { Allowance } from "./allowance.ts"
import { Kept } from "./kept.ts"
import type { TcpCounters } from "./tcp-counters.ts"

/** Pieces in one write to a socket. */
const PIECES = 256

export interface ToHostOptions {
  readonly memory: Memory
  /** Bytes kept at most. */
  readonly capacity: number
  /** What the machine's flows may keep together. */
  readonly allowance: Allowance
  /** Where payload is gathered in one turn: taken from here and put back. */
  readonly gathers: Parts[]
  readonly counters: TcpCounters
}

export class ToHost {
  readonly #options: ToHostOptions
  #gather: Parts | undefined
  /** Most flows never keep anything. */
  #kept: Kept | undefined

  constructor(options: ToHostOptions) {
    this.#options = options
  }

  /** Bytes that wait for the host's socket. */
  get bytes(): number {
    return this.#kept?.bytes ?? 0
  }

  /** Takes payload that is next: `length` bytes of `parts` after the first `skip`, in memory that stays until `write`. */
  take(parts: Parts, skip: number, length: number): void {
    this.#gather ??= this.#options.gathers.pop() ?? new Parts()
    this.#gather.append(parts, skip, length)
  }

  /** Keeps payload that came too early. Returns false where there is no room for it. */
  hold(parts: Parts, skip: number, length: number, sequence: number): boolean {
    if (this.#keep().hold(parts, skip, length, sequence)) return true
    this.#options.counters.noMemory++
    return false
  }

  /**
   * Writes what is here and in order. Returns how many bytes the socket took, or -1 where it has failed. `receive` hears what could not be kept, and
   * what follows now that nothing is missing before it.
   */
  write(stream: HostStream | undefined, receive: ReceiveSide): number {
    const gathered = this.#gather === undefined ? 0 : this.#writeGathered(stream, receive, this.#gather)
    const kept = this.#kept
    if (gathered < 0 || kept === undefined) return gathered
    if (kept.early) {
      const end = kept.join(receive.next)
      if (end !== receive.next) receive.advance(end)
    }
    const late = writeKept(stream, kept)
    return late < 0 ? -1 : gathered + late
  }

  /** Gives everything back. */
  clear(): void {
    this.#kept?.clear()
    this.#giveGather()
  }

  #writeGathered(stream: HostStream | undefined, receive: ReceiveSide, gather: Parts): number {
    const written = this.bytes === 0 ? writeTo(stream, gather) : 0
    if (written < 0) return -1
    const rest = gather.bytes - written
    if (rest > 0) {
      const kept = this.#keep().append(gather, written, rest)
      if (kept < rest) {
        this.#options.counters.noMemory++
        receive.rollBack(rest - kept)
      }
    }
    this.#giveGather()
    return written
  }

  #keep(): Kept {
    const { memory, allowance, capacity } = this.#options
    this.#kept ??= new Kept(memory, allowance, capacity)
    return this.#kept
  }

  #giveGather(): void {
    if (this.#gather === undefined) return
    this.#gather.clear()
    this.#options.gathers.push(this.#gather)
    this.#gather = undefined
  }
}

function writeKept(stream: HostStream | undefined, kept: Kept): number {
  let total = 0
  while (kept.bytes > 0) {
    const pending = kept.pending(PIECES)
    const written = writeTo(stream, pending)
    if (written < 0) return -1
    kept.taken(written)
    total += written
    if (written < pending.bytes) break
  }
  return total
}

/** Returns what the socket took, or -1 where it has failed. */
function writeTo(stream: HostStream | undefined, parts: Parts): number {
  const written = stream?.write(parts) ?? -ECONNRESET
  if (written >= 0) return written
  return written === -EAGAIN ? 0 : -1
}
