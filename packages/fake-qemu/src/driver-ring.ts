/**
 * The driver's side of a split virtqueue, as a guest has it (Virtio 1.2, section 2.7): plain and slow, for tests.
 *
 * It is written against the specification alone and shares no code with the device's side, so that both can be wrong only in different ways.
 *
 * @module
 */
import { readSync } from "node:fs"
import { check } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import type { GuestRam } from "./guest-ram.ts"

const NEXT = 1
const WRITE = 2
const INDIRECT = 4

export interface Buffer {
  readonly address: number
  readonly length: number
  /** Whether the device may write it. */
  readonly writable?: boolean
}

export interface Used {
  readonly head: number
  readonly written: number
}

export interface DriverRingOptions {
  readonly size?: number
  readonly eventIndex?: boolean
  /** The region of the guest's memory that the ring lies in. */
  readonly region?: number
}

export class DriverRing implements Disposable {
  readonly size: number
  readonly ram: GuestRam
  /** Guest addresses of the three parts. */
  readonly descriptors: number
  readonly available: number
  readonly used: number
  /** Written here to wake the device, and by it to wake us. */
  readonly kickFd: number
  readonly callFd: number
  readonly errorFd: number
  readonly #eventIndex: boolean
  readonly #table: DataView
  readonly #availableView: DataView
  readonly #usedView: DataView
  readonly #free: number[]
  readonly #chains = new Map<number, readonly number[]>()
  #availableIndex = 0
  #usedIndex = 0
  #kickedAt = 0

  constructor(ram: GuestRam, options: DriverRingOptions = {}) {
    this.size = options.size ?? 16
    this.ram = ram
    this.#eventIndex = options.eventIndex ?? true
    this.descriptors = ram.allocate(16 * this.size, options.region, 4096)
    this.available = ram.allocate(6 + 2 * this.size, options.region)
    this.used = ram.allocate(6 + 8 * this.size, options.region)
    this.#table = ram.view(this.descriptors, 16 * this.size)
    this.#availableView = ram.view(this.available, 6 + 2 * this.size)
    this.#usedView = ram.view(this.used, 6 + 8 * this.size)
    this.#free = Array.from({ length: this.size }, (_, index) => this.size - 1 - index)
    this.kickFd = check(sys.eventfd(), "eventfd")
    this.callFd = check(sys.eventfd(), "eventfd")
    this.errorFd = check(sys.eventfd(), "eventfd")
  }

  get freeDescriptors(): number {
    return this.#free.length
  }

  /** Offers a chain without a kick. Returns its head, or -1 where there are too few descriptors. */
  offer(buffers: readonly Buffer[]): number {
    if (buffers.length > this.#free.length) return -1
    const indices = this.#free.splice(this.#free.length - buffers.length)
    for (const [i, buffer] of buffers.entries()) {
      const next = indices[i + 1]
      const flags = (buffer.writable === true ? WRITE : 0) | (next === undefined ? 0 : NEXT)
      this.setDescriptor(indices[i] ?? 0, buffer, flags, next ?? 0)
    }
    const head = indices[0] ?? 0
    this.#chains.set(head, indices)
    this.offerHead(head)
    return head
  }

  /** Offers a chain whose descriptors lie in a table of their own. */
  offerIndirect(buffers: readonly Buffer[]): number {
    const head = this.#free.pop()
    if (head === undefined) return -1
    const address = this.ram.allocate(16 * buffers.length)
    const table = this.ram.view(address, 16 * buffers.length)
    for (const [i, buffer] of buffers.entries()) {
      const last = i + 1 === buffers.length
      const flags = (buffer.writable === true ? WRITE : 0) | (last ? 0 : NEXT)
      writeDescriptor(table, i, buffer, flags, last ? 0 : i + 1)
    }
    this.setDescriptor(head, { address, length: 16 * buffers.length }, INDIRECT, 0)
    this.#chains.set(head, [head])
    this.offerHead(head)
    return head
  }

  /** Any descriptor, also one that no honest driver writes. */
  setDescriptor(index: number, buffer: Buffer, flags: number, next: number): void {
    writeDescriptor(this.#table, index, buffer, flags, next)
  }

  /** Puts any number into the available ring. */
  offerHead(head: number): void {
    this.#availableView.setUint16(4 + 2 * (this.#availableIndex % this.size), head, true)
    this.#availableIndex = (this.#availableIndex + 1) & 0xffff
    this.setAvailableIndex(this.#availableIndex)
  }

  setAvailableIndex(index: number): void {
    this.#availableView.setUint16(2, index, true)
  }

  /** Wakes the device if it wants to be. Returns whether it did. */
  kick(): boolean {
    const before = this.#kickedAt
    this.#kickedAt = this.#availableIndex
    const wanted = this.#eventIndex
      ? passes(this.#usedView.getUint16(4 + 8 * this.size, true), this.#availableIndex, before)
      : (this.#usedView.getUint16(0, true) & 1) === 0
    if (wanted) this.kickAnyway()
    return wanted
  }

  kickAnyway(): void {
    wake(this.kickFd)
  }

  /** Chains that came back since the last time, in their order. Their descriptors are free again. */
  collect(): readonly Used[] {
    const now = this.#usedView.getUint16(2, true)
    const back: Used[] = []
    while (this.#usedIndex !== now) {
      const at = 4 + 8 * (this.#usedIndex % this.size)
      const head = this.#usedView.getUint32(at, true)
      back.push({ head, written: this.#usedView.getUint32(at + 4, true) })
      const indices = this.#chains.get(head)
      if (indices === undefined) throw new Error(`the device gave back ${head}, which was not offered`)
      this.#chains.delete(head)
      this.#free.push(...indices)
      this.#usedIndex = (this.#usedIndex + 1) & 0xffff
    }
    // Asks for an interrupt with the next one.
    if (this.#eventIndex) this.#availableView.setUint16(4 + 2 * this.size, this.#usedIndex, true)
    return back
  }

  /** Asks for no interrupts, where event indices are not used. */
  muteCalls(on: boolean): void {
    this.#availableView.setUint16(0, on ? 1 : 0, true)
  }

  /** How often the device has called since the last time. */
  calls(): number {
    return taken(this.callFd)
  }

  errors(): number {
    return taken(this.errorFd)
  }

  [Symbol.dispose](): void {
    for (const fd of [this.kickFd, this.callFd, this.errorFd]) sys.close(fd)
  }
}

function writeDescriptor(table: DataView, index: number, buffer: Buffer, flags: number, next: number): void {
  const at = 16 * index
  table.setBigUint64(at, BigInt(buffer.address), true)
  table.setUint32(at + 8, buffer.length, true)
  table.setUint16(at + 12, flags, true)
  table.setUint16(at + 14, next, true)
}

/** Section 2.7.10: whether the other side's event index was passed. */
function passes(event: number, now: number, before: number): boolean {
  return ((now - event - 1) & 0xffff) < ((now - before) & 0xffff)
}

function wake(fd: number): void {
  check(sys.signal(fd), "eventfd_write")
}

/** Reads an eventfd: its count, or 0 where there is none. */
function taken(fd: number): number {
  const counter = new BigUint64Array(1)
  try {
    readSync(fd, counter)
    return Number(counter[0])
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EAGAIN") return 0
    throw error
  }
}
