/**
 * A port of a switch: a machine's link, as the gateway sees it.
 *
 * @module
 */
import type { Link, LinkCounters, Outlet } from "../link.ts"
import type { Memory } from "../memory.ts"
import type { Offload, Offloads } from "../offload.ts"
import type { Parts } from "../parts.ts"

/** What the switch did with frames of this port, and with those on their way to it. */
export interface PortCounters {
  /** Frames that the gateway got. */
  toGateway: number
  /** Frames to one other port. */
  forwarded: number
  /** Frames to all other ports: for everybody, for a group, or for an address that nobody knows. */
  flooded: number
  /** Dropped: from an address that is not this port's to use. */
  spoofed: number
  /** Dropped: from an address that another port uses, which keeps it. */
  taken: number
  /** Dropped: from an address that no sender can have. */
  badSource: number
  /** Not handed on to other machines, which were to be deceived by it: see `SwitchOptions.guard`. */
  guarded: number
  /** Dropped: for all, and more than a port may send to all. */
  storm: number
  /** Dropped: the port is partitioned. Both ways. */
  partitioned: number
  /** Dropped: for a bridge, not for what is behind it (IEEE 802.1D, table 7-10). */
  reserved: number
  /** Dropped: for an address behind the same port. */
  local: number
  /** Dropped on their way here: longer than this machine's MTU. */
  tooLong: number
  /** Dropped on their way here: the machine does not read. */
  noRoom: number
  /** Dropped on their way here: what was left to be finished is not what it was said to be. */
  unfinished: number
}

function newPortCounters(): PortCounters {
  return {
    toGateway: 0,
    forwarded: 0,
    flooded: 0,
    spoofed: 0,
    taken: 0,
    badSource: 0,
    guarded: 0,
    storm: 0,
    partitioned: 0,
    reserved: 0,
    local: 0,
    tooLong: 0,
    noRoom: 0,
    unfinished: 0,
  }
}

/** What a port asks of its switch. */
export interface PortOwner {
  /** The machine can be reached again. */
  healed(port: Port): void
  detach(port: Port): void
}

export class Port implements Outlet, Disposable {
  /** Counts from 0, and is given again when a port has gone. */
  readonly number: number
  readonly counters: PortCounters = newPortCounters()
  readonly #link: Link
  readonly #owner: PortOwner
  #partitioned = false

  /** Made by `Switch.attach`. */
  constructor(link: Link, number: number, owner: PortOwner) {
    this.#link = link
    this.number = number
    this.#owner = owner
  }

  get name(): string {
    return this.#link.name
  }

  get memory(): Memory {
    return this.#link.memory
  }

  get mtu(): number {
    return this.#link.mtu
  }

  get offloads(): Offloads {
    return this.#link.offloads
  }

  get carrier(): boolean {
    return this.#link.carrier
  }

  get lent(): Parts {
    return this.#link.lent
  }

  get linkCounters(): Readonly<LinkCounters> {
    return this.#link.counters
  }

  /** Cut off from all others, the gateway included, while its link stays up: frames are lost without a word, as on a broken way between switches. */
  get partitioned(): boolean {
    return this.#partitioned
  }

  set partitioned(on: boolean) {
    if (this.#partitioned === on) return
    this.#partitioned = on
    if (!on) this.#owner.healed(this)
  }

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    if (!this.#partitioned) return this.#link.send(headers, at, length, payload, offload)
    this.counters.partitioned++
    return true
  }

  /** False too while the port is partitioned, and then there is room when it is not any more. */
  lend(header: number, payload: number): boolean {
    return !this.#partitioned && this.#link.lend(header, payload)
  }

  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    this.#link.use(headers, at, length, payload, offload)
  }

  unlend(): void {
    this.#link.unlend()
  }

  flush(): void {
    this.#link.flush()
  }

  /** Takes the port out of its switch and ends its link. */
  [Symbol.dispose](): void {
    this.#owner.detach(this)
    this.#link[Symbol.dispose]()
  }
}
