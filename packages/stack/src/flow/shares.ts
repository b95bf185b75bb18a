/**
 * Who has how much of what all flows share, places in the table and memory: a link's part is bounded, so that no machine takes what others need.
 *
 * ```
 *  begins ──► connecting ──► stands ──► rests ──► forgotten
 *             ◄──── a place of its link ────►     a place among those that rest, until newer ones need it
 * ```
 *
 * @module
 */
import type { Outlet } from "@skep/link"
import { HeapShare } from "../host/heap-share.ts"
import { Allowance } from "./allowance.ts"

/** The share of all flows that may rest beside them in TIME-WAIT; then the oldest goes, so that no rush of short ones keeps out the next. */
const RESTING = 1 / 4

export interface Limits {
  /** Bytes that are kept of all guests' streams together: 64 MiB unless told. */
  readonly mostKept: number
  /** And those of one link, so that no machine takes what others need: half of them unless told. */
  readonly mostKeptOfLink: number
  readonly mostFlows: number
  /** Of one link, so that no machine takes the place of all others: half of them unless told. */
  readonly mostOfLink: number
  /** Connections of one link whose guest's or host's side does not stand yet. */
  readonly mostConnecting: number
}

export function limitsOf(options: Partial<Limits>): Limits {
  const { mostFlows = 16_384, mostOfLink = Math.ceil(mostFlows / 2), mostConnecting = 512 } = options
  const { mostKept = 64 << 20, mostKeptOfLink = Math.ceil(mostKept / 2) } = options
  return { mostKept, mostKeptOfLink, mostFlows, mostOfLink, mostConnecting }
}

/** A flow, as far as its share goes. */
export interface Sharer {
  readonly link: Outlet
  /** Begun by the guest, and one of its sides does not stand yet. */
  connecting: boolean
}

/** What a link has. */
interface Share {
  flows: number
  connecting: number
  readonly allowance: Allowance
  readonly heapShare: HeapShare
}

export class Shares<Flow extends Sharer> {
  readonly #limits: Limits
  readonly #allowance: Allowance
  readonly #ofLink = new Map<Outlet, Share>()
  /** The oldest first. They count neither for their link nor for all. */
  readonly #resting = new Set<Flow>()
  #flows = 0

  constructor(limits: Limits) {
    this.#limits = limits
    this.#allowance = new Allowance(limits.mostKept)
  }

  /** Bytes of memory that hold what guests have sent: of all links, or of one. */
  get keptBytes(): number {
    return this.#allowance.taken
  }

  get mostKeptBytes(): number {
    return this.#limits.mostKept
  }

  keptBytesOf(link: Outlet): number {
    return this.#ofLink.get(link)?.allowance.taken ?? 0
  }

  /** Whether there is no place for another flow of that link. */
  isFull(link: Outlet): boolean {
    const { mostFlows, mostOfLink } = this.#limits
    return this.#flows >= mostFlows || (this.#ofLink.get(link)?.flows ?? 0) >= mostOfLink
  }

  /** Whether that link has begun as many as it may that do not stand. */
  isConnecting(link: Outlet): boolean {
    return (this.#ofLink.get(link)?.connecting ?? 0) >= this.#limits.mostConnecting
  }

  /** What the flows of a link may keep. */
  allowance(link: Outlet): Allowance {
    return this.#share(link).allowance
  }

  /** What a driver may keep for the flows of a link. */
  heapShare(link: Outlet): HeapShare {
    return this.#share(link).heapShare
  }

  add({ link }: Flow): void {
    this.#flows++
    this.#share(link).flows++
  }

  /** It was added, begun by the guest, and does not stand yet. */
  connects(flow: Flow): void {
    flow.connecting = true
    this.#share(flow.link).connecting++
  }

  /** Both sides stand, or neither does any more. */
  stands(flow: Flow): void {
    if (!flow.connecting) return
    flow.connecting = false
    this.#share(flow.link).connecting--
  }

  /** Returns the one that has rested longest where too many do now: it has to go. */
  rest(flow: Flow): Flow | undefined {
    this.#leave(flow)
    this.#resting.add(flow)
    if (this.#resting.size <= this.#limits.mostFlows * RESTING) return undefined
    for (const oldest of this.#resting) return oldest
    return undefined
  }

  /** Takes out one that was added. */
  delete(flow: Flow): void {
    if (!this.#resting.delete(flow)) this.#leave(flow)
  }

  /** The machine is gone, and all its flows are. */
  detach(link: Outlet): void {
    this.#ofLink.delete(link)
  }

  /** It has no place of its link any more. */
  #leave({ link }: Flow): void {
    const share = this.#share(link)
    this.#flows--
    share.flows--
    // What the drivers' sockets still have to send is the machine's until it is gone.
    if (share.flows === 0 && share.heapShare.taken === 0) this.#ofLink.delete(link)
  }

  #share(link: Outlet): Share {
    const known = this.#ofLink.get(link)
    if (known !== undefined) return known
    const allowance = new Allowance(this.#limits.mostKeptOfLink, this.#allowance)
    const share = { flows: 0, connecting: 0, allowance, heapShare: new HeapShare() }
    this.#ofLink.set(link, share)
    return share
  }
}
