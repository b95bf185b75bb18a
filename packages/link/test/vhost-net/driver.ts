/**
 * A guest's NIC driver on fake rings: offers buffers, puts frames together from those that come back, sends frames in any pieces.
 *
 * Written against Virtual I/O Device 1.2, section 5.1.6, and sharing no code with the device.
 *
 * @module
 */
import { DriverRing, type GuestRam, type Buffer as Piece } from "@skep/fake-qemu"

const HEADER = 12

/** struct virtio_net_hdr, little-endian. */
export interface VirtioHeader {
  readonly flags?: number
  readonly gso?: number
  readonly headerLength?: number
  readonly segmentSize?: number
  readonly checksumStart?: number
  readonly checksumOffset?: number
}

export interface Received {
  readonly header: Required<VirtioHeader>
  readonly buffers: number
  readonly bytes: Uint8Array
}

export interface SendOptions {
  readonly header?: VirtioHeader
  /** Lengths of the pieces, header included; the rest is one more. One piece unless told. */
  readonly cuts?: readonly number[]
  readonly indirect?: boolean
}

export interface DriverOptions {
  readonly size?: number
  readonly eventIndex?: boolean
  /** Bytes of the virtio header. */
  readonly header?: number
}

export class Driver implements Disposable {
  readonly rx: DriverRing
  readonly tx: DriverRing
  readonly #ram: GuestRam
  readonly #header: number
  /** Pieces of the buffers that were offered, by head. */
  readonly #offered = new Map<number, readonly Piece[]>()
  /** Pieces that came back, for `offerAgain`. */
  #back: (readonly Piece[])[] = []

  constructor(ram: GuestRam, { size = 64, eventIndex = true, header = HEADER }: DriverOptions = {}) {
    this.#ram = ram
    this.#header = header
    this.rx = new DriverRing(ram, { size, eventIndex })
    this.tx = new DriverRing(ram, { size, eventIndex })
  }

  get rings(): readonly [DriverRing, DriverRing] {
    return [this.rx, this.tx]
  }

  /** Offers a buffer in pieces of these lengths. Returns false where there are no descriptors for it. */
  offer(...lengths: readonly number[]): boolean {
    return this.#offer(
      lengths.map((length) => ({ address: this.#ram.allocate(length, undefined, 1), length })),
    )
  }

  /** Offers what came back once more, as far as there are descriptors. Returns how many buffers. */
  offerAgain(): number {
    const back = this.#back
    this.#back = back.filter((pieces) => !this.#offer(pieces))
    return back.length - this.#back.length
  }

  #offer(pieces: readonly Piece[]): boolean {
    const head = this.rx.offer(pieces.map((piece) => ({ ...piece, writable: true })))
    if (head < 0) return false
    this.#offered.set(head, pieces)
    return true
  }

  /** Frames that came since the last time. */
  receive(): readonly Received[] {
    const frames: Received[] = []
    const used = this.rx.collect().map(({ head, written }) => {
      const pieces = this.#offered.get(head) ?? []
      this.#offered.delete(head)
      this.#back.push(pieces)
      return this.#read(pieces, written)
    })
    while (used.length > 0) {
      // Buffers may be smaller than a header, though no driver should have such.
      const buffers = this.#header === HEADER ? u16(Buffer.concat(used), 10) : 1
      if (buffers < 1 || buffers > used.length)
        throw new Error(`a frame in ${buffers} of ${used.length} buffers`)
      const whole = Buffer.concat(used.splice(0, buffers))
      frames.push({ header: parse(whole), buffers, bytes: whole.subarray(this.#header) })
    }
    return frames
  }

  /** Offers a frame for sending, without a kick. Returns false where there are no descriptors for it. */
  send(frame: Uint8Array, { header = {}, cuts = [], indirect = false }: SendOptions = {}): boolean {
    const whole = Buffer.concat([emit(header).subarray(0, this.#header), frame])
    return this.sendRaw(whole, cuts, indirect)
  }

  /** The same with any bytes instead of header and frame. */
  sendRaw(whole: Uint8Array, cuts: readonly number[] = [], indirect = false): boolean {
    const pieces: Piece[] = []
    for (let done = 0, index = 0; done < whole.length; index++) {
      const length = Math.min(cuts[index] ?? whole.length, whole.length - done)
      const address = this.#ram.allocate(length, undefined, 1)
      this.#ram.bytes(address, length).set(whole.subarray(done, done + length))
      pieces.push({ address, length })
      done += length
    }
    return (indirect ? this.tx.offerIndirect(pieces) : this.tx.offer(pieces)) >= 0
  }

  [Symbol.dispose](): void {
    for (const ring of this.rings) ring[Symbol.dispose]()
  }

  #read(pieces: readonly Piece[], written: number): Uint8Array {
    const parts: Uint8Array[] = []
    let left = written
    for (const { address, length } of pieces) {
      const part = Math.min(left, length)
      if (part > 0) parts.push(this.#ram.bytes(address, part))
      left -= part
    }
    if (left > 0) throw new Error(`${written} bytes were written into a smaller buffer`)
    return Buffer.concat(parts)
  }
}

export function emit(header: VirtioHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, header.flags ?? 0)
  view.setUint8(1, header.gso ?? 0)
  view.setUint16(2, header.headerLength ?? 0, true)
  view.setUint16(4, header.segmentSize ?? 0, true)
  view.setUint16(6, header.checksumStart ?? 0, true)
  view.setUint16(8, header.checksumOffset ?? 0, true)
  return bytes
}

function parse(bytes: Uint8Array): Required<VirtioHeader> {
  return {
    flags: bytes[0] ?? 0,
    gso: bytes[1] ?? 0,
    headerLength: u16(bytes, 2),
    segmentSize: u16(bytes, 4),
    checksumStart: u16(bytes, 6),
    checksumOffset: u16(bytes, 8),
  }
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
}
