/**
 * The virtiofs device on vhost-user: requests of FUSE out of the guest's queues, answers into them.
 *
 * Virtual I/O Device 1.2, section 5.11. Queue 0 has what must not wait behind others (FORGET, INTERRUPT), the others have requests. The
 * configuration space (the tag) is QEMU's own.
 *
 * ```
 * chain   | fuse_in_header | arguments | data of a WRITE ……… | fuse_out_header | result | data of a READ …… |
 *           └── copied to private memory ──┘ └─ by address ─┘  └──── copied there ────────┘ └─ by address ─┘
 * ```
 *
 * Header and arguments are copied before they are looked at, as the guest may change its memory meanwhile. Answers are given in any order; what was
 * taken and not answered is in a ledger, so that a successor does exactly that again.
 *
 * @module
 */
import { type Exchange, FuseSession, type PolicyOf, protocol, type Transport } from "@skep/fuse"
import type { Scope, Timer } from "@skep/loop"
import { Iovecs, Scratch, type Views } from "@skep/loop/memory"
import type { FileSystem, Pieces } from "@skep/vfs"
import {
  type Chain,
  type Copy,
  type Device,
  type Ledger,
  newCopy,
  type Queue,
  SIZE_MAX,
  type Taken,
} from "@skep/vhost-user"
import { Slot } from "./slot.ts"
import { StateFile } from "./state-file.ts"

const { WRITE } = protocol.constants
/** Header and arguments of a WRITE, whose data stays where it is. */
const WRITE_HEAD = protocol.IN_HEADER + protocol.files.READ_IN
/** So much is copied at once whatever it is. */
const SMALL = 512
/** The longest request but for data: an extended attribute of 64 KiB with its name; many nodes to forget. */
const REQUEST_MAX = 128 * 1024
/** Slots are made as they are needed, so many at a time. */
const SLOTS = 16
const IOVECS = 1024
const SLOT_BYTES = IOVECS * 16
/** Requests before others have their turn, and before the guest sees the answers of those that were done. */
const TURN = 256
const SHOW_EVERY = 4
/** How often a lock of somebody else is asked for. */
const LOCK_RETRY_MS = 50

export interface VirtiofsOptions {
  readonly scope: Scope
  /** Stays the caller's. */
  readonly fileSystem: FileSystem
  readonly policyOf?: PolicyOf
  /** Queues of requests, beside the first one. 1 unless told, as QEMU does. */
  readonly requestQueues?: number
  /** The file that a successor of this process takes over; without one the guest hangs when this process is killed. */
  readonly stateFile?: string
  readonly locks?: "guest" | "host"
  readonly writeback?: boolean
  /** Whether the guest has extended attributes, which it has unless told. */
  readonly xattrs?: boolean
  /** Ends when no operation of the file system touches memory that it was given. Needed where it finishes reads or writes later. */
  readonly drain?: () => void
  /** A guest began anew: nodes and handles of the last one are void. */
  readonly onInit?: () => void
}

export interface VirtiofsDevice extends Device {
  readonly session: FuseSession
  /** Requests that wait for the file system. */
  readonly pending: number
  /** Why an old state file was not used. */
  readonly setAside: string | undefined
  counts(): Readonly<Record<string, number>>
}

export function virtiofsDevice(options: VirtiofsOptions): VirtiofsDevice {
  return new Virtiofs(options)
}

class Virtiofs implements VirtiofsDevice, Transport {
  readonly name = "virtiofs"
  readonly queueCount: number
  readonly features = 0n
  readonly session: FuseSession
  readonly #drain: (() => void) | undefined
  readonly #state: StateFile
  readonly #request: Copy = newCopy(REQUEST_MAX)
  readonly #scratches: Scratch[] = []
  readonly #slots: Slot[] = []
  readonly #free: Slot[] = []
  readonly #busy = new Set<Slot>()
  readonly #timer: Timer
  /** The chain whose request is being handled, until it is answered. */
  #current: Chain | undefined
  #currentSlot: Slot | undefined
  #requests = 0
  #tooLong = 0
  #unanswered = 0

  constructor(options: VirtiofsOptions) {
    const { scope, fileSystem } = options
    this.queueCount = 1 + (options.requestQueues ?? 1)
    this.#drain = options.drain
    this.#state = new StateFile({ path: options.stateFile, queues: this.queueCount })
    this.session = new FuseSession({
      fileSystem,
      transport: this,
      request: this.#request,
      memo: this.#state,
      ...(options.policyOf === undefined ? {} : { policyOf: options.policyOf }),
      ...(options.locks === undefined ? {} : { locks: options.locks }),
      ...(options.writeback === undefined ? {} : { writeback: options.writeback }),
      ...(options.xattrs === undefined ? {} : { xattrs: options.xattrs }),
      ...(options.onInit === undefined ? {} : { onInit: options.onInit }),
    })
    this.#timer = scope.timer(() => {
      this.session.retryLocks()
      this.#arm()
    })
    scope.onDispose(() => {
      this.#drain?.()
      for (const scratch of this.#scratches) scratch[Symbol.dispose]()
      this.#state[Symbol.dispose]()
    })
  }

  get pending(): number {
    return this.#busy.size
  }

  get setAside(): string | undefined {
    return this.#state.setAside
  }

  counts(): Readonly<Record<string, number>> {
    return {
      ...this.session.counts(),
      requests: this.#requests,
      pending: this.#busy.size,
      tooLong: this.#tooLong,
      unanswered: this.#unanswered,
    }
  }

  // ---- The device

  ledgerOf(queue: number): Ledger {
    return this.#state.ledgerOf(queue)
  }

  onStart(): void {
    // The kick follows; what a predecessor left undone comes first by itself.
  }

  onKick(queue: Queue): void {
    queue.drain((chain) => this.#take(queue, chain), TURN, SHOW_EVERY)
  }

  onStop(queue: Queue): void {
    this.#drain?.()
    for (const slot of this.#busy) {
      if (slot.queue !== queue) continue
      // It stays in the ledger, and comes again when the queue is started again.
      if (this.session.abandon(slot.exchange)) this.#release(slot)
      else {
        slot.queue = undefined
        this.#unanswered++
      }
    }
  }

  // ---- Requests

  #take(queue: Queue, chain: Chain): Taken {
    const slot = this.#free.pop() ?? this.#more()
    const { exchange } = slot
    const isAgain = queue.isAgain
    this.#requests++
    slot.queue = queue
    slot.head = chain.head
    exchange.slot = queue.index * SIZE_MAX + chain.head
    exchange.again = isAgain
    exchange.readable = chain.readableBytes
    exchange.writable = chain.writableBytes
    this.#current = chain
    this.#currentSlot = slot
    this.session.handle(exchange, this.#copyRequest(queue, chain))
    if (this.#currentSlot === slot) this.#keep(slot, chain)
    this.#current = undefined
    return "taken"
  }

  /** Copies header and arguments. Returns how many bytes there are. */
  #copyRequest(queue: Queue, chain: Chain): number {
    const { readableBytes } = chain
    const { memory } = queue
    const all = Math.min(readableBytes, REQUEST_MAX)
    if (readableBytes <= SMALL) {
      chain.readHead(memory, this.#request, all)
      return all
    }
    chain.readHead(memory, this.#request, WRITE_HEAD)
    if (this.#request.u32[1] === WRITE) return WRITE_HEAD
    if (all < readableBytes) this.#tooLong++
    chain.readHead(memory, this.#request, all)
    return all
  }

  #keep(slot: Slot, chain: Chain): void {
    slot.keep(chain)
    this.#busy.add(slot)
    this.#currentSlot = undefined
    if (this.session.waiting > 0) this.#arm()
  }

  #arm(): void {
    if (this.session.waiting > 0) this.#timer.after(LOCK_RETRY_MS)
  }

  // ---- What the session asks for

  source(exchange: Exchange, skip: number, bytes: number): Pieces {
    const slot = this.#slotOf(exchange)
    const chain = this.#current
    if (chain !== undefined) slot.fill(chain, 0, chain.readable, skip, bytes)
    return slot
  }

  target(exchange: Exchange, skip: number, bytes: number): Pieces {
    const slot = this.#slotOf(exchange)
    const chain = this.#current
    if (chain !== undefined) slot.fill(chain, chain.readable, chain.count, skip, bytes)
    return slot
  }

  reply(exchange: Exchange, head: Views, length: number, total: number): void {
    const slot = this.#slotOf(exchange)
    const { queue } = slot
    if (queue !== undefined) {
      if (this.#currentSlot !== slot) writeLate(slot, queue, head, length)
      else if (length > 0) this.#current?.writeHead(queue.memory, head, length)
      queue.give(slot.head, total)
    }
    this.#release(slot)
  }

  #slotOf({ index }: Exchange): Slot {
    const slot = this.#slots[index]
    if (slot === undefined) throw new RangeError(`there is no slot ${index}`)
    return slot
  }

  #release(slot: Slot): void {
    slot.queue = undefined
    if (this.#currentSlot === slot) this.#currentSlot = undefined
    else this.#busy.delete(slot)
    this.#free.push(slot)
  }

  /** Makes slots, of which one is returned. There are never more than the queues have descriptors. */
  #more(): Slot {
    const scratch = new Scratch(SLOTS * SLOT_BYTES)
    this.#scratches.push(scratch)
    let slot = this.#slot(scratch)
    for (let left = SLOTS - 1; left > 0; left--) {
      this.#free.push(slot)
      slot = this.#slot(scratch)
    }
    return slot
  }

  #slot(scratch: Scratch): Slot {
    const index = this.#slots.length
    const slot = new Slot(this.session.exchange(index), new Iovecs(scratch, `pieces ${index}`, IOVECS))
    this.#slots.push(slot)
    return slot
  }
}

/** The chain is not at hand any more: the answer goes where it was seen to begin. */
function writeLate(slot: Slot, queue: Queue, head: Views, length: number): void {
  let done = 0
  for (let piece = 0; piece < slot.latePieces && done < length; piece++) {
    const part = Math.min(slot.lateLengths[piece] ?? 0, length - done)
    queue.memory.copyIn(head, done, slot.lateAddresses[piece] ?? 0, part)
    done += part
  }
}
