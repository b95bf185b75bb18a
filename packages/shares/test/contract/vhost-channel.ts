/**
 * A FUSE channel over the rings of a fake QEMU, before a device in another thread or process.
 *
 * @module
 */
import { DriverRing, FrontEnd, GuestRam } from "@skep/fake-qemu"
import { type Answered, type Channel, newViews, REQUEST_MAX, type Room } from "@skep/fuse/driver"
import { check } from "@skep/loop"
import type { Views } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Pieces } from "@skep/vfs"
import { connectUnix } from "@skep/vhost-user"

const SLOTS = 16
const RING = 256
/** A whole request or answer with the largest data. */
const SLOT_BYTES = (1 << 20) + REQUEST_MAX
const HEAD_MAX = 4096
const TURN_MS = 2
/** A device that is started again is back long before. */
const PATIENCE_TURNS = 10_000

interface Sent {
  readonly slot: number
  readonly room: Room
  readonly answered: Answered
}

export class VhostChannel implements Channel, Disposable {
  readonly request: Views = newViews(REQUEST_MAX)
  /** Whether `send` waits for the answer: all calls but those with a `Done` need it to. */
  waits = true
  readonly #ram = new GuestRam({ sizes: [1 << 20, 2 * SLOTS * SLOT_BYTES + (1 << 20)] })
  readonly #rings: readonly DriverRing[]
  readonly #front: FrontEnd
  readonly #still = new Int32Array(new SharedArrayBuffer(4))
  readonly #free: number[] = Array.from({ length: SLOTS }, (_, slot) => slot)
  readonly #out: readonly number[]
  readonly #in: readonly number[]
  readonly #sent = new Map<number, Sent>()
  readonly #answer = newViews(SLOT_BYTES)

  /** Connects to the device, as QEMU does. */
  constructor(socket: string) {
    this.#rings = [new DriverRing(this.#ram, { size: RING }), new DriverRing(this.#ram, { size: RING })]
    this.#out = this.#free.map(() => this.#ram.allocate(SLOT_BYTES))
    this.#in = this.#free.map(() => this.#ram.allocate(SLOT_BYTES))
    this.#front = new FrontEnd({ fd: check(connectUnix(socket), "connect", socket), ram: this.#ram })
  }

  /** Brings the device up, as the guest's driver does. Throws where nobody answers. */
  start(): void {
    this.#front.start(this.#rings)
  }

  /** Requests that were not answered yet. */
  get pending(): number {
    return this.#sent.size
  }

  send(end: number, room: Room, answered: Answered): void {
    const slot = this.#free.pop()
    if (slot === undefined) throw new Error(`more than ${SLOTS} requests at a time`)
    const isMute = room.writable === 0
    const ring = this.#ring(isMute ? 0 : 1)
    const answer = { address: this.#in[slot] ?? 0, length: room.writable, writable: true }
    const pieces = this.#written(slot, end, room)
    const key = ring.offer(isMute ? pieces : [...pieces, answer]) + (isMute ? RING : 0)
    this.#sent.set(key, { slot, room, answered })
    ring.kickAnyway()
    if (!this.waits) return
    for (let turns = 0; this.#sent.has(key); turns++) {
      if (turns > PATIENCE_TURNS) throw new Error("the device did not answer")
      if (!this.collect()) this.#turn()
    }
  }

  /** Takes what was answered. Returns whether there was anything. */
  collect(): boolean {
    let any = false
    for (const [index, ring] of this.#rings.entries())
      for (const { head, written } of ring.collect()) {
        any = true
        this.#give(index === 0 ? head + RING : head, written)
      }
    return any
  }

  [Symbol.dispose](): void {
    this.#front[Symbol.dispose]()
    for (const ring of this.#rings) ring[Symbol.dispose]()
    this.#ram[Symbol.dispose]()
  }

  #give(key: number, written: number): void {
    const sent = this.#sent.get(key)
    if (sent === undefined) throw new Error("an answer to nothing")
    this.#sent.delete(key)
    this.#free.push(sent.slot)
    const answer = this.#ram.bytes(this.#in[sent.slot] ?? 0, written)
    this.#answer.bytes.set(answer.subarray(0, HEAD_MAX + (sent.room.target === undefined ? written : 0)))
    const { target } = sent.room
    if (target !== undefined)
      eachPiece(target, (to, at, length) => {
        const from = OUT_HEADER + at
        const part = Math.min(length, written - from)
        if (part > 0) sys.copyToMemory(to, answer.slice(from, from + part))
      })
    sent.answered(this.#answer, written)
  }

  /** Puts the request and its data into the guest's memory. */
  #written(slot: number, end: number, { data }: Room): readonly { address: number; length: number }[] {
    const address = this.#out[slot] ?? 0
    this.#ram.bytes(address, end).set(this.request.bytes.subarray(0, end))
    if (data === undefined || data.bytes === 0) return [{ address, length: end }]
    eachPiece(data, (from, at, length) =>
      sys.copyFromMemory(this.#ram.bytes(address + end + at, length), from),
    )
    return [
      { address, length: end },
      { address: address + end, length: data.bytes },
    ]
  }

  #ring(index: number): DriverRing {
    const ring = this.#rings[index]
    if (ring === undefined) throw new Error(`there is no ring ${index}`)
    return ring
  }

  /** Lets the device work: it is in another thread. */
  #turn(): void {
    Atomics.wait(this.#still, 0, 0, TURN_MS)
  }
}

const OUT_HEADER = 16
const IOVEC = 16

/** Where each piece is, from where on of the whole, and how long. */
function eachPiece(pieces: Pieces, visit: (address: number, at: number, length: number) => void): void {
  const iovecs = new Uint8Array(pieces.count * IOVEC)
  sys.copyFromMemory(iovecs, pieces.address)
  const words = new DataView(iovecs.buffer)
  let at = 0
  for (let index = 0; index < pieces.count; index++) {
    const length = Number(words.getBigUint64(index * IOVEC + 8, true))
    visit(Number(words.getBigUint64(index * IOVEC, true)), at, length)
    at += length
  }
}
