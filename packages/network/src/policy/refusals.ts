/**
 * Counts what was refused, and tells of it at a bounded rate: a guest that knocks at every port of the world fills neither log nor memory.
 *
 * A refusal that was told of is not told of again for a minute while it repeats; beyond `REFUSALS_A_SECOND` others are not either. What was
 * not told is added to the count of the next line.
 *
 * @module
 */
import { Budget } from "@skep/link"
import * as address from "@skep/wire/address"
import { REFUSALS_A_SECOND, type Refused } from "../thread/calls.ts"
import { ICMP, ICMP6, REFUSALS, type Refusal, TCP, UDP } from "./policy.ts"

/** Where a flow wanted to go. Mutable, so that one is used again for each. */
export interface Destination {
  /** That of the IP header. */
  protocol: number
  bytes: Uint8Array
  at: number
  /** 4 or 16. */
  width: number
  port: number
}

/** Flows that are remembered as told of: a table of hashes, in which a newcomer displaces whom it meets. */
const TOLD_SLOTS = 256
const REPEAT_MS = 60_000
const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

export class Refusals {
  readonly #tell: (refused: Refused) => void
  readonly #counts: Record<Refusal, number>
  readonly #toldHash = new Int32Array(TOLD_SLOTS)
  readonly #toldAtMs = new Float64Array(TOLD_SLOTS).fill(Number.NEGATIVE_INFINITY)
  readonly #budget = new Budget(REFUSALS_A_SECOND, REFUSALS_A_SECOND, 0)
  #untold = 0

  constructor(tell: (refused: Refused) => void) {
    this.#tell = tell
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every key is there
    this.#counts = Object.fromEntries(REFUSALS.map((reason) => [reason, 0])) as Record<Refusal, number>
  }

  /** Since the start, by reason. */
  counts(): Readonly<Record<Refusal, number>> {
    return { ...this.#counts }
  }

  /** Allocates nothing where it tells of nothing. */
  note(machine: string, reason: Refusal, destination: Destination, nowMs: number): void {
    this.#counts[reason]++
    this.#untold++
    const hash = hashOf(machine, reason, destination)
    const slot = hash & (TOLD_SLOTS - 1)
    const isKnown = this.#toldHash[slot] === hash && nowMs - (this.#toldAtMs[slot] ?? 0) < REPEAT_MS
    if (isKnown || !this.#budget.take(nowMs)) return
    this.#toldHash[slot] = hash
    this.#toldAtMs[slot] = nowMs
    const count = this.#untold
    this.#untold = 0
    const { protocol, bytes, at, width, port } = destination
    this.#tell({
      machine,
      protocol: nameOf(protocol),
      destination: address.formatAt(bytes, at, width),
      port,
      reason,
      count,
    })
  }
}

function nameOf(protocol: number): Refused["protocol"] {
  if (protocol === TCP) return "tcp"
  if (protocol === UDP) return "udp"
  return protocol === ICMP || protocol === ICMP6 ? "icmp" : "other"
}

/** FNV-1a over all that makes the flow, but its source port. */
function hashOf(machine: string, reason: string, { protocol, bytes, at, width, port }: Destination): number {
  let hash = FNV_OFFSET
  for (let index = 0; index < machine.length; index++) hash = mixed(hash, machine.charCodeAt(index))
  hash = mixed(hash, reason.charCodeAt(0))
  for (let index = 0; index < width; index++) hash = mixed(hash, bytes[at + index] ?? 0)
  return mixed(mixed(mixed(hash, port & 0xff), port >> 8), protocol)
}

function mixed(hash: number, value: number): number {
  return Math.imul(hash ^ value, FNV_PRIME)
}
