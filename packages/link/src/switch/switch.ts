/**
 * A learning switch between machines, with the gateway as one more station on it (IEEE 802.1D, section 7.7 to 7.9, without its spanning tree).
 *
 * ```
 *  port ─► for the gateway's address ─────────► gateway.onFrame(port, frame), without a copy or a table; segments that follow each other as one
 *       ─► for a known address ───────────────► that port
 *       ─► for a group, or nobody knows whom ─► all other ports, within the port's budget; groups: the gateway as well
 * ```
 *
 * An address stays with the port that used it first, and what a `guard` says no to goes to no other machine.
 *
 * What a sender left to be finished goes on unfinished where the other machine takes that, and is finished here where it does not.
 *
 * All links share one memory, and one thread.
 *
 * @module
 */
import { u8, u16, u32 } from "@skep/wire/bytes"
import { Finisher } from "../finish/finisher.ts"
import type { Frame } from "../frame.ts"
import { Gather } from "../gather/gather.ts"
import type { Link } from "../link.ts"
import type { Parts } from "../parts.ts"
import { Addresses, type Entry } from "./addresses.ts"
import { Budget } from "./budget.ts"
import { Port } from "./port.ts"

const AGE_MS = 300_000
const ADDRESSES = 256
const PORTS = 1024
const FLOODS = 250
const FLOOD_BURST = 500
const SOURCE = 6
const HIGH = 2 ** 32
/** 01:80:c2:00:00:00 to 0f: between neighbouring bridges only. */
const RESERVED_HIGH = 0x0180
const RESERVED_LOW = 0xc2000000
const RESERVED_MASK = 0xfffffff0

/** The station that all machines see as their gateway. The calls are those of a `Receiver`, with the port they are about. */
export interface Gateway {
  onFrame(port: Port, frame: Frame): void
  /** After a turn that brought it a frame. */
  onSettle(port: Port): void
  onRoom(port: Port): void
  onCarrier(port: Port, up: boolean): void
}

export interface SwitchOptions {
  /** Its address, 48 bits. No port may use it. */
  readonly gatewayAddress: number
  readonly gateway: Gateway
  /** Milliseconds as a loop has them. */
  readonly clock: { readonly now: number }
  /** After so long without a frame an address is forgotten; 5 minutes unless told, as 802.1D recommends. */
  readonly ageMs?: number
  /**
   * An address moves to the port that used it last, as 802.1D has it. Unless told it stays with the first one for as long as that one's link is up and
   * it was heard from within `ageMs`: a machine cannot be displaced by another that uses its address.
   */
  readonly roaming?: boolean
  /** Asked about each frame of a port that is for another port: false keeps it from all of them; the gateway gets it all the same, if it is to. */
  readonly guard?: (from: Port, frame: Frame) => boolean
  /** Addresses behind one port; 256 unless told. */
  readonly addressesPerPort?: number
  /** 1024 unless told. */
  readonly maxPorts?: number
  /** Frames that a port may send to all others in a second, and at once; 250 and 500 unless told. */
  readonly floodsPerSecond?: number
  readonly floodBurst?: number
}

export interface AttachOptions {
  /** Addresses that only this port may use. */
  readonly reserve?: readonly number[]
}

interface Attached {
  readonly port: Port
  readonly link: Link
  readonly floods: Budget
  /** What it learned last: almost always that of the next frame as well. */
  last: Entry<Port> | undefined
  lastHigh: number
  lastLow: number
  /** The gateway got a frame in this turn. */
  settles: boolean
}

export class Switch implements Disposable {
  readonly #options: SwitchOptions
  readonly #gatewayHigh: number
  readonly #gatewayLow: number
  readonly #attached = new Map<Port, Attached>()
  readonly #numbers: number[] = []
  readonly #addresses: Addresses<Port>
  readonly #reserved = new Map<number, Port>()
  readonly #finisher = new Finisher()
  readonly #gather = new Gather()
  /** Whose segment is kept, in the turn that goes on. */
  #gathers: Attached | undefined

  constructor(options: SwitchOptions) {
    this.#options = options
    this.#gatewayHigh = Math.floor(options.gatewayAddress / HIGH)
    this.#gatewayLow = options.gatewayAddress % HIGH
    this.#addresses = new Addresses({
      ageMs: options.ageMs ?? AGE_MS,
      most: options.addressesPerPort ?? ADDRESSES,
      roaming: options.roaming ?? false,
    })
  }

  get ports(): IterableIterator<Port> {
    return this.#attached.keys()
  }

  /** How many addresses are known. */
  get addresses(): number {
    return this.#addresses.size
  }

  /**
   * Takes a link, which was not started, owns and starts it. Throws where there are too many, an address is reserved already, or the link does not
   * start: then it is still the caller's.
   */
  attach(link: Link, options: AttachOptions = {}): Port {
    const { clock, floodBurst, floodsPerSecond, maxPorts } = this.#options
    const count = this.#attached.size
    if (count >= (maxPorts ?? PORTS))
      throw new RangeError(`Cannot attach "${link.name}": all ports are taken`)
    const reserve = options.reserve ?? []
    for (const address of reserve) {
      if (this.#reserved.has(address) || address === this.#options.gatewayAddress)
        throw new RangeError(`Cannot reserve an address for "${link.name}": it is another's`)
    }
    const port = new Port(link, this.#numbers.pop() ?? count, {
      healed: (healed) => this.#options.gateway.onRoom(healed),
      detach: (gone) => this.#detach(gone),
    })
    for (const address of reserve) {
      this.#reserved.set(address, port)
      this.#addresses.release(address) // whoever used it until now
    }
    const attached: Attached = {
      port,
      link,
      floods: new Budget(floodsPerSecond ?? FLOODS, floodBurst ?? FLOOD_BURST, clock.now),
      last: undefined,
      lastHigh: -1,
      lastLow: -1,
      settles: false,
    }
    this.#attached.set(port, attached)
    link.receiver = {
      onFrame: (frame) => this.#onFrame(attached, frame),
      onSettle: () => this.#onSettle(attached),
      onRoom: () => this.#options.gateway.onRoom(port),
      onCarrier: (up) => this.#onCarrier(attached, up),
    }
    try {
      link.start()
    } catch (error) {
      this.#detach(port)
      throw error
    }
    return port
  }

  /** The port behind which an address was last seen. */
  portOf(address: number): Port | undefined {
    return this.#addresses.lookup(address, this.#options.clock.now)
  }

  /** Sends a frame of the gateway to all machines. It is finished. */
  broadcast(headers: Uint8Array, at: number, length: number, payload?: Parts): void {
    for (const { port } of this.#attached.values()) {
      if (port.carrier) port.send(headers, at, length, payload)
    }
  }

  /** Ends every link. */
  [Symbol.dispose](): void {
    for (const port of this.#attached.keys()) port[Symbol.dispose]()
  }

  #onFrame(from: Attached, frame: Frame): void {
    const { port } = from
    if (port.partitioned) {
      port.counters.partitioned++
      return
    }
    if (!this.#accept(from, frame)) return
    const { at, bytes } = frame
    const high = u16(bytes, at)
    const low = u32(bytes, at + 2)
    if (low === this.#gatewayLow && high === this.#gatewayHigh) this.#toGateway(from, frame)
    else if ((u8(bytes, at) & 1) === 0) this.#unicast(from, frame, high * HIGH + low)
    else if (high === RESERVED_HIGH && (low & RESERVED_MASK) >>> 0 === RESERVED_LOW) port.counters.reserved++
    else {
      this.#flood(from, frame)
      this.#toGateway(from, frame)
    }
  }

  /** Whether the source may be what it is; learns it. */
  #accept(from: Attached, frame: Frame): boolean {
    const { at, bytes } = frame
    const high = u16(bytes, at + SOURCE)
    const low = u32(bytes, at + SOURCE + 2)
    const { last } = from
    if (low === from.lastLow && high === from.lastHigh && last !== undefined && last.port === from.port) {
      last.seen = this.#options.clock.now
      return true
    }
    const { counters } = from.port
    // The group bit: no sender is a group. And nobody is nobody.
    if ((high & 0x100) !== 0 || (high === 0 && low === 0)) {
      counters.badSource++
      return false
    }
    const address = high * HIGH + low
    const owner = this.#reserved.get(address)
    if (address === this.#options.gatewayAddress || (owner !== undefined && owner !== from.port)) {
      counters.spoofed++
      return false
    }
    const learned = this.#addresses.learn(address, from.port, this.#options.clock.now)
    if (learned === undefined) {
      counters.taken++
      return false
    }
    from.last = learned
    from.lastHigh = high
    from.lastLow = low
    return true
  }

  #toGateway(from: Attached, frame: Frame): void {
    from.port.counters.toGateway++
    from.settles = true
    const { gateway } = this.#options
    const { memory } = from.link
    if (this.#gathers === from && this.#gather.join(frame, memory)) return
    this.#release()
    if (this.#gather.keep(frame, memory)) this.#gathers = from
    else gateway.onFrame(from.port, frame)
  }

  /** Hands on the segments that were kept in case that others follow. */
  #release(): void {
    const from = this.#gathers
    if (from === undefined) return
    this.#gathers = undefined
    const frame = this.#gather.take()
    if (frame !== undefined) this.#options.gateway.onFrame(from.port, frame)
  }

  #unicast(from: Attached, frame: Frame, address: number): void {
    const to = this.#addresses.lookup(address, this.#options.clock.now)
    if (to === undefined) this.#flood(from, frame)
    else if (to === from.port) from.port.counters.local++
    else if (this.#mayPass(from, frame)) {
      from.port.counters.forwarded++
      this.#send(frame, to)
    }
  }

  #flood(from: Attached, frame: Frame): void {
    if (this.#attached.size < 2) return
    if (!from.floods.take(this.#options.clock.now)) {
      from.port.counters.storm++
      return
    }
    if (!this.#mayPass(from, frame)) return
    from.port.counters.flooded++
    for (const { port } of this.#attached.values()) {
      if (port !== from.port && port.carrier) this.#send(frame, port)
    }
  }

  /** Whether the other machines may have it. */
  #mayPass(from: Attached, frame: Frame): boolean {
    if (this.#options.guard?.(from.port, frame) !== false) return true
    from.port.counters.guarded++
    return false
  }

  #send(frame: Frame, to: Port): void {
    const result = this.#finisher.forward(frame, to)
    if (result !== "sent") to.counters[result]++
  }

  #onSettle(from: Attached): void {
    if (!from.settles) return
    from.settles = false
    this.#release()
    this.#options.gateway.onSettle(from.port)
  }

  #onCarrier(from: Attached, up: boolean): void {
    if (!up) this.#forget(from)
    this.#options.gateway.onCarrier(from.port, up)
  }

  #forget(from: Attached): void {
    this.#addresses.forget(from.port)
    from.last = undefined
    if (this.#gathers !== from) return
    this.#gathers = undefined
    this.#gather.clear()
  }

  #detach(port: Port): void {
    const attached = this.#attached.get(port)
    if (attached === undefined) return
    this.#attached.delete(port)
    this.#forget(attached)
    for (const [address, owner] of this.#reserved) if (owner === port) this.#reserved.delete(address)
    this.#numbers.push(port.number)
  }
}
