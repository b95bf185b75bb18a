/**
 * Frames to the machine: buffers of its receive queue are taken for a frame, filled in place and given back.
 *
 * ```
 *  one frame in three merged buffers:
 *  │ virtio header │ Ethernet, IP, TCP │ payload … │     │ payload … │     │ payload │ not used │
 *  └─ places: guest addresses, written by `use` ─┘└──────── lent: addresses for one read ───────┘
 * ```
 *
 * Virtual I/O Device 1.2, section 5.1.6.4. Buffers are given back in the order they were taken, and what was not used is put back into the ring: so
 * between batches the ring's position tells all (see the keeper of @skep/vhost-user). Where buffers that were not used lie before used ones, because a
 * frame in the midst became shorter or one was sent between `lend` and `unlend`, they end the frame before as buffers of no bytes.
 *
 * @module
 */
import { type Chain, type Copy, newCopy, type Queue, SIZE_MAX } from "@skep/vhost-user"
import type { LinkCounters } from "../link.ts"
import type { Memory } from "../memory.ts"
import type { Offload } from "../offload.ts"
import { Parts } from "../parts.ts"
import { type Dialect, dialectOf } from "./features.ts"
import { BUFFERS, emit, HEADER, setU16le } from "./header.ts"

export class ToMachine {
  /** Where the payloads of lent frames lie. */
  readonly lent: Parts = new Parts()
  readonly #counters: LinkCounters
  readonly #memory: Memory
  readonly #virtioHeader: Copy = newCopy(HEADER)
  /** The buffer that headers came in last, as words: senders have one and use it again. */
  #source: Copy = newCopy(0)
  #dialect: Dialect = dialectOf(0n)
  #queue: Queue | undefined
  /** Chains that were taken, in the ring's order: heads, room, and how many of them have been given back. */
  readonly #heads = new Uint16Array(SIZE_MAX)
  readonly #rooms = new Uint32Array(SIZE_MAX)
  #taken = 0
  #given = 0
  /** Places for headers, by guest address, and where in them is written next. */
  readonly #places = new Parts()
  #place = 0
  #skip = 0
  /** Frames that were lent: their first chains, places and parts, and what is lent for their headers. */
  readonly #firstChains: number[] = []
  readonly #firstPlaces: number[] = []
  readonly #firstParts: number[] = []
  readonly #headers: number[] = []
  #frames = 0
  #used = 0
  /** The frame that was given back last: where its header is, and in how many buffers it lies. */
  #lastPlace = 0
  #lastBuffers = 0
  /** Chains taken after those that are lent were given back already. */
  #overtaken = false
  #flushes = false
  /** A frame of that size found no room; nothing larger will until there is more of it. */
  #refused = Number.POSITIVE_INFINITY
  #wanted = false
  /** Where the payload of `send` goes. */
  readonly #payload = new Parts()

  constructor(counters: LinkCounters, memory: Memory) {
    this.#counters = counters
    this.#memory = memory
  }

  start(queue: Queue, dialect: Dialect): void {
    this.#queue = queue
    this.#dialect = dialect
    this.#forget()
    this.#refused = Number.POSITIVE_INFINITY
    queue.muteKicks()
  }

  /** The queue is gone, and with it what was taken. */
  stop(): void {
    this.#queue = undefined
    this.#forget()
  }

  /** The guest has offered more. Returns whether somebody waits for it. */
  more(): boolean {
    this.#queue?.muteKicks()
    this.#refused = Number.POSITIVE_INFINITY
    const wanted = this.#wanted
    this.#wanted = false
    return wanted
  }

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    const queue = this.#queue
    const chain = this.#taken
    const place = this.#places.count
    const bytes = payload?.bytes ?? 0
    this.#payload.clear()
    if (queue === undefined || !this.#take(queue, length, bytes, this.#payload)) {
      this.#wanted = true
      this.#counters.droppedOut++
      return false
    }
    this.#give(queue, chain, this.#taken, this.#dialect.header + length + bytes)
    this.#begin(queue, place, offload)
    this.#put(queue, this.#viewsOf(headers), headers.byteOffset + at, length)
    this.#count(length + bytes)
    if (payload !== undefined) this.#move(payload)
    this.#taken = chain
    if (this.#frames === 0) this.#places.clear()
    else this.#overtaken = true
    return true
  }

  lend(header: number, payload: number): boolean {
    const queue = this.#queue
    const chain = this.#taken
    const place = this.#places.count
    const part = this.lent.count
    if (queue === undefined || !this.#take(queue, header, payload, this.lent)) {
      this.#wanted = true
      return false
    }
    const frame = this.#frames++
    this.#firstChains[frame] = chain
    this.#firstPlaces[frame] = place
    this.#firstParts[frame] = part
    this.#headers[frame] = header
    return true
  }

  /** Throws a `RangeError` for a frame that was not lent so. */
  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    const queue = this.#queue
    if (queue === undefined) return
    const frame = this.#used
    const gap = (this.#headers[frame] ?? 0) - length
    if (frame >= this.#frames || gap < 0)
      throw new RangeError(`no frame with ${length} bytes of headers was lent`)
    this.#used++
    const first = this.#firstChains[frame] ?? 0
    const place = this.#firstPlaces[frame] ?? 0
    const end = this.#used < this.#frames ? (this.#firstChains[this.#used] ?? 0) : this.#taken
    if (this.#given < first) this.#pad(queue, first)
    this.#given = this.#give(queue, first, end, this.#dialect.header + length + payload)
    this.#begin(queue, place, offload)
    this.#put(queue, this.#viewsOf(headers), headers.byteOffset + at, length)
    if (gap > 0) this.#close(queue, this.#firstParts[frame] ?? 0, gap, payload)
    this.#count(length + payload)
  }

  /** Returns whether somebody who found no room is to look again, as buffers went back into the ring. */
  unlend(): boolean {
    const queue = this.#queue
    let owed = false
    if (queue !== undefined && this.#given < this.#taken) {
      if (this.#overtaken) this.#pad(queue, this.#taken)
      else {
        untake(queue, this.#taken - this.#given)
        this.#refused = Number.POSITIVE_INFINITY
        owed = this.#wanted
        this.#wanted = false
      }
    }
    this.#forget()
    if (this.#flushes) {
      this.#flushes = false
      this.flush()
    }
    return owed
  }

  /** Shows the guest what was sent; while frames are lent, that waits for `unlend`. */
  flush(): void {
    if (this.#frames === 0) this.#queue?.flush()
    else this.#flushes = true
  }

  #forget(): void {
    this.#taken = 0
    this.#given = 0
    this.#frames = 0
    this.#used = 0
    this.#overtaken = false
    this.#places.clear()
    this.lent.clear()
  }

  /** Takes chains for a frame: their room for headers goes to `#places`, that for payload to `into`. All or none. */
  #take(queue: Queue, header: number, payload: number, into: Parts): boolean {
    const before = this.#dialect.header + header
    if (before + payload >= this.#refused) return false
    const chains = this.#taken
    const places = this.#places.count
    const { count, bytes } = into
    for (let left = before + payload; left > 0; ) {
      const chain = queue.take()
      if (chain !== undefined && (this.#taken === chains || this.#dialect.merges)) {
        this.#heads[this.#taken] = chain.head
        this.#rooms[this.#taken] = chain.writableBytes
        this.#taken++
        const room = Math.min(left, chain.writableBytes)
        const head = Math.min(room, Math.max(0, left - payload))
        if (head > 0) addPlaces(chain, head, this.#places)
        if (room > head) addRoom(chain, head, room - head, into, count)
        left -= room
        continue
      }
      if (chain !== undefined) queue.untake()
      // Asked for while all that is offered is in our hands: so the kick comes with the first chain beyond.
      if (queue.wantKick() && chain === undefined) continue
      untake(queue, this.#taken - chains)
      this.#taken = chains
      this.#places.count = places
      into.count = count
      into.bytes = bytes
      this.#refused = before + payload
      return false
    }
    return true
  }

  /** Gives back as many of the chains from `first` on as `bytes` need. Returns the first that was not needed. */
  #give(queue: Queue, first: number, end: number, bytes: number): number {
    let chain = first
    for (let left = bytes; left > 0; chain++) {
      if (chain === end) throw new RangeError(`the frame is ${left} bytes longer than what was taken for it`)
      const part = Math.min(left, this.#rooms[chain] ?? 0)
      queue.give(this.#heads[chain] ?? 0, part)
      left -= part
    }
    this.#lastBuffers = chain - first
    return chain
  }

  /** Gives chains back as parts of the frame before, with nothing in them. Without merged buffers they are frames of no bytes, which drivers drop. */
  #pad(queue: Queue, end: number): void {
    for (; this.#given < end; this.#given++, this.#lastBuffers++) queue.give(this.#heads[this.#given] ?? 0, 0)
    if (!this.#dialect.merges) return
    setU16le(this.#virtioHeader.bytes, 0, this.#lastBuffers)
    this.#place = this.#lastPlace
    this.#skip = BUFFERS
    this.#put(queue, this.#virtioHeader, 0, HEADER - BUFFERS)
  }

  /** Writes the virtio header of the frame that was given back last. Its own headers follow. */
  #begin(queue: Queue, place: number, offload: Offload | undefined): void {
    emit(this.#virtioHeader.bytes, 0, this.#lastBuffers, offload)
    this.#lastPlace = place
    this.#place = place
    this.#skip = 0
    this.#put(queue, this.#virtioHeader, 0, this.#dialect.header)
  }

  /** Copies `length` bytes to the places that come next. */
  #put(queue: Queue, from: Copy, at: number, length: number): void {
    for (let done = 0; done < length; ) {
      const room = this.#places.lengthAt(this.#place) - this.#skip
      if (room > 0) {
        const part = Math.min(room, length - done)
        queue.memory.copyIn(from, at + done, this.#places.addressAt(this.#place) + this.#skip, part)
        done += part
        this.#skip += part
      } else {
        this.#skip = -room
        this.#place++
      }
    }
  }

  /** Moves payload up to headers that are shorter than what was lent for them. It costs two copies: those who know their headers need none. */
  #close(queue: Queue, first: number, gap: number, payload: number): void {
    const moved = newCopy(payload)
    const { lent } = this
    for (let part = first, done = 0; done < payload; part++) {
      const length = Math.min(lent.lengthAt(part), payload - done)
      this.#memory.read(lent.addressAt(part), length, moved.bytes, done)
      done += length
    }
    const ahead = Math.min(gap, payload)
    this.#put(queue, moved, 0, ahead)
    for (let part = first, done = ahead; done < payload; part++) {
      const length = Math.min(lent.lengthAt(part), payload - done)
      this.#memory.write(moved.bytes, done, length, lent.addressAt(part))
      done += length
    }
  }

  #count(bytes: number): void {
    this.#counters.framesOut++
    this.#counters.bytesOut += bytes
  }

  #viewsOf({ buffer }: Uint8Array): Copy {
    if (this.#source.bytes.buffer !== buffer)
      this.#source = {
        bytes: new Uint8Array(buffer),
        u16: new Uint16Array(buffer, 0, buffer.byteLength >>> 1),
        u32: new Uint32Array(buffer, 0, buffer.byteLength >>> 2),
      }
    return this.#source
  }

  /** Copies the payload of `send` to its room. */
  #move(from: Parts): void {
    const to = this.#payload
    let target = 0
    let filled = 0
    for (let source = 0; source < from.count; source++) {
      for (let done = 0; done < from.lengthAt(source); ) {
        const part = Math.min(from.lengthAt(source) - done, to.lengthAt(target) - filled)
        this.#memory.copy(from.addressAt(source) + done, to.addressAt(target) + filled, part)
        done += part
        filled += part
        if (filled < to.lengthAt(target)) continue
        target++
        filled = 0
      }
    }
  }
}

function untake(queue: Queue, chains: number): void {
  for (let left = chains; left > 0; left--) queue.untake()
}

/** Appends the guest addresses of the first `length` bytes that may be written. */
function addPlaces(chain: Chain, length: number, into: Parts): void {
  let left = length
  for (let piece = chain.readable; left > 0; piece++) {
    const part = Math.min(left, chain.lengthAt(piece))
    into.push(chain.guestAddresses[piece] ?? 0, part)
    left -= part
  }
}

/** Appends the addresses of `length` bytes that may be written, after the first `skip`, for a frame whose parts begin at `first`. */
function addRoom(chain: Chain, skip: number, length: number, into: Parts, first: number): void {
  let before = skip
  let left = length
  for (let piece = chain.readable; left > 0; piece++) {
    const there = chain.lengthAt(piece)
    if (before < there) {
      const part = Math.min(left, there - before)
      join(into, first, chain.addressAt(piece) + before, part)
      left -= part
      before = 0
    } else before -= there
  }
}

/**
 * Appends a piece, or lets the last one, if it is one of the frame's, grow by it: drivers cut their buffers out of larger pages one after the other,
 * and each piece fewer is one fewer for the kernel to look at.
 */
function join(into: Parts, first: number, address: number, length: number): void {
  const last = into.count - 1
  if (last < first || into.addressAt(last) + into.lengthAt(last) !== address) {
    into.push(address, length)
    return
  }
  into.lengths[last] = into.lengthAt(last) + length
  into.bytes += length
}
