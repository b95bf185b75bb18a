/**
 * One queue of a device: its ring while it runs, and the descriptors by which both sides wake each other.
 *
 * ```
 *        address, size, base         kick            enable (at once where protocol features are not negotiated)
 *  idle ────────────────────► idle ─────► started ─────► running ──── GET_VRING_BASE, the ring is broken ───► idle
 * ```
 *
 * docs/interop/vhost-user.rst, "Ring states".
 *
 * @module
 */
import type { Registration, Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import type { GuestMemory } from "../memory/guest-memory.ts"
import type { Chain } from "../ring/chain.ts"
import type { Ledger } from "../ring/ledger.ts"
import { type BrokenRing, type RingAddresses, SIZE_MAX, SplitRing } from "../ring/split-ring.ts"
import type { Device } from "./device.ts"

/** How many chains a queue hands out before the others have their turn. */
const TURN = 256

/** What a device says of a chain that `drain` gives it. "later" leaves the chain in the ring and ends the turn. */
export type Taken = "taken" | "later"

export interface QueueParts {
  readonly index: number
  readonly device: Device
  readonly memory: GuestMemory
  readonly scope: Scope
  readonly onBroken: (queue: Queue, why: BrokenRing) => void
}

export interface RingFeatures {
  readonly eventIndex: boolean
  readonly indirect: boolean
}

export class Queue {
  readonly index: number
  /** Chains given out since the queue was made, and interrupts sent. */
  chains = 0
  interrupts = 0
  readonly #parts: QueueParts
  #size = 0
  #base = 0
  #addresses: RingAddresses | undefined
  #ring: SplitRing | undefined
  #kick: Registration | undefined
  #kickFd = -1
  #callFd = -1
  #errorFd = -1
  #enabled = false
  #dirty = false
  #ledger: Ledger | undefined
  /** Heads that a predecessor had and did not give back, to be handed out first. */
  #again: number[] = []
  #isAgain = false

  constructor(parts: QueueParts) {
    this.#parts = parts
    this.index = parts.index
  }

  get running(): boolean {
    return this.#ring !== undefined && this.#enabled
  }

  get size(): number {
    return this.#size
  }

  /** Where the next owner of the ring goes on. */
  get base(): number {
    return this.#ring?.base ?? this.#base
  }

  /** Chains that the device has and not yet given back. */
  get inFlight(): number {
    return this.#ring?.inFlight ?? 0
  }

  /** Whether the guest offers a chain now. */
  get offers(): boolean {
    return this.running && (this.#again.length > 0 || (this.#ring?.offered ?? 0) !== 0)
  }

  /** How many chains the guest offers now. */
  get offered(): number {
    return this.running ? Math.max(0, this.#ring?.offered ?? 0) : 0
  }

  // For devices:

  /** Whether the last chain that was taken had been handed to a predecessor, or before the ring was opened again. */
  get isAgain(): boolean {
    return this.#isAgain
  }

  /** For headers; payload goes by address. */
  get memory(): GuestMemory {
    return this.#parts.memory
  }

  /** Takes the next chain, or undefined where there is none. It is valid until the next `take`; keep its `head` to give it back. */
  take(): Chain | undefined {
    const ring = this.#ring
    if (ring === undefined || !this.#enabled) return undefined
    const again = this.#again.shift()
    this.#isAgain = again !== undefined
    const popped = again === undefined ? ring.pop() : ring.popAgain(again)
    if (popped === "chain") {
      this.chains++
      if (again === undefined) this.#ledger?.took(ring.chain.head)
      return ring.chain
    }
    if (popped === "broken") this.#break(ring)
    return undefined
  }

  /** Puts the last chain that was taken back; as often as chains were taken and not given back, if none was given after them. */
  untake(): void {
    const ring = this.#ring
    this.chains--
    if (ring === undefined) return
    if (this.#isAgain) {
      this.#again.unshift(ring.chain.head)
      return
    }
    ring.unpop()
    this.#ledger?.untook(ring.offeredAt(ring.base))
  }

  /** Gives a chain back; `written` counts bytes from the start of its writable part. The guest hears of it when the batch ends. */
  give(head: number, written: number): void {
    if (this.#ring === undefined) return
    this.#ledger?.gave(head)
    this.#ring.push(head, written)
    this.#dirty = true
  }

  /** Asks for a kick with the next chain. Returns true where one is there already. */
  wantKick(): boolean {
    if (this.#ring === undefined || !this.#enabled) return false
    return this.#again.length > 0 || this.#ring.wantKick()
  }

  /** Asks for no kicks until `wantKick`. */
  muteKicks(): void {
    this.#ring?.muteKicks()
  }

  /**
   * Hands out chains until there are none, the device wants no more, or others are to have their turn, after `turn` of them; then asks for a
   * kick. What was given back meanwhile is shown after each `showEvery` of them: where one takes long, the guest goes on with it while the next is done.
   */
  drain(take: (chain: Chain) => Taken, turn: number = TURN, showEvery: number = turn): void {
    const ring = this.#ring
    if (ring === undefined) return
    ring.muteKicks()
    for (let left = turn; left > 0; ) {
      const chain = this.take()
      if (this.#ring !== ring) return
      if (chain === undefined) {
        if (!this.wantKick()) return
        continue
      }
      left--
      if (take(chain) === "later") {
        if (this.#ring === ring) this.untake()
        return
      }
      if (this.#ring !== ring) return
      if (left % showEvery === 0) this.flush()
    }
    this.#kick?.again(sys.EPOLLIN)
  }

  /** Shows the guest what was given back and wakes it if it wants to be. Called at the end of each batch. */
  flush(): void {
    if (!this.#dirty) return
    this.#dirty = false
    const calls = this.#ring?.publish() === true
    if (this.#ring !== undefined) this.#ledger?.published(this.#ring.usedIndex)
    if (!calls || this.#callFd < 0) return
    this.interrupts++
    // EAGAIN: the counter is full because the guest has not been woken yet, and will be.
    sys.signal(this.#callFd)
  }

  // For the session. They throw a RangeError for what no ring can have.

  setSize(size: number): void {
    if (this.#ring !== undefined) throw new RangeError(`queue ${this.index} runs`)
    if (size < 1 || size > SIZE_MAX || (size & (size - 1)) !== 0)
      throw new RangeError(`queue ${this.index} cannot have ${size} descriptors`)
    this.#size = size
  }

  setBase(base: number): void {
    if (this.#ring !== undefined) throw new RangeError(`queue ${this.index} runs`)
    if (base > 0xffff) throw new RangeError(`queue ${this.index} cannot begin at ${base}`)
    this.#base = base
  }

  setAddresses(addresses: RingAddresses): void {
    this.#addresses = addresses
  }

  /** Owns `fd`; -1 is none. */
  setCall(fd: number): void {
    closeFd(this.#callFd)
    this.#callFd = fd
  }

  /** Owns `fd`; -1 is none. */
  setError(fd: number): void {
    closeFd(this.#errorFd)
    this.#errorFd = fd
  }

  /** Starts the queue. Owns `fd`. */
  start(fd: number, features: RingFeatures): void {
    this.stop()
    this.#kickFd = fd
    this.open(features)
  }

  /** Opens the ring where it is known to be, as after the memory has moved. */
  open(features: RingFeatures): void {
    if (this.#kickFd < 0 || this.#addresses === undefined) return
    const { memory, device, scope } = this.#parts
    this.#ring = new SplitRing({
      size: this.#size,
      memory,
      addresses: this.#addresses,
      base: this.#base,
      ...features,
    })
    this.#recall(this.#ring, device)
    device.onStart(this)
    // Edge-triggered and never read: each write of the guest is an edge, and a read would be a system call for nothing.
    this.#kick = scope.add(this.#kickFd, sys.EPOLLIN | sys.EPOLLET, () => this.#kicked())
    this.#kick.again(sys.EPOLLIN) // chains that were there before us
  }

  enable(on: boolean): void {
    if (this.#enabled === on) return
    this.#enabled = on
    if (this.#ring !== undefined) this.#parts.device.onEnable?.(this, on)
    if (on) this.#kick?.again(sys.EPOLLIN)
  }

  /** Closes the ring and keeps where it was. Returns whether it ran. */
  close(): boolean {
    const ring = this.#ring
    if (ring === undefined) return false
    this.#parts.device.onStop(this)
    this.flush()
    this.#base = ring.base
    this.#ring = undefined
    this.#kick?.remove()
    this.#kick = undefined
    ring[Symbol.dispose]()
    return true
  }

  /** Stops the queue: its ring, and its kick. */
  stop(): void {
    this.close()
    closeFd(this.#kickFd)
    this.#kickFd = -1
  }

  /** Forgets everything and closes every descriptor. */
  reset(): void {
    this.stop()
    this.setCall(-1)
    this.setError(-1)
    this.#addresses = undefined
    this.#size = 0
    this.#base = 0
    this.#enabled = false
  }

  /** What was taken and not given back before comes first, where the device has a ledger of it. */
  #recall(ring: SplitRing, device: Device): void {
    this.#again = []
    this.#ledger = device.ledgerOf?.(this.index)
    if (this.#ledger === undefined) return
    const { size, usedIndex, availableIndex } = ring
    const base = this.#base
    const offeredAt = (index: number): number => ring.offeredAt(index)
    this.#again = [...this.#ledger.open({ size, usedIndex, base, offeredAt, availableIndex })]
    if (this.#again.length > 0) ring.skipTo(usedIndex + this.#again.length)
  }

  #kicked(): void {
    if (this.running) this.#parts.device.onKick(this)
  }

  #break(ring: SplitRing): void {
    const why = ring.broken
    if (why === undefined) return
    this.#enabled = false
    if (this.#errorFd >= 0) sys.signal(this.#errorFd)
    this.#parts.device.onBroken?.(this)
    this.#parts.onBroken(this, why)
  }
}

function closeFd(fd: number): void {
  if (fd >= 0) sys.close(fd)
}
