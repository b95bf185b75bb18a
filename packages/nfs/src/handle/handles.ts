/**
 * File handles of one volume, RFC 1813 §2.3.3: what stands for a file over restarts of the server.
 *
 * ```
 *  volume u32 │ tag, 8 bytes │ durable handle of the file system, up to 52 bytes
 * ```
 *
 * The tag is a keyed hash over the rest, so a handle that we did not give out is told from one whose file is gone: the one is BADHANDLE, the other STALE, and no
 * client finds files by guessing. The volume's number is a hash of its name and the key is the server's to keep, so handles outlive it.
 *
 * A table keeps handle and node of what was used last, with the node's one reference: a call costs no search. Beyond its capacity entries go that
 * have not been used since the hand of its clock came by, and their files are found again by `find` of the file system.
 *
 * @module
 */
import { at } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { DURABLE_MAX, type FileSystem, type NodeId } from "@skep/vfs"
import * as status from "../status.ts"
import type { Writer } from "../xdr/writer.ts"
import * as siphash from "./siphash.ts"

/** RFC 1813: NFS3_FHSIZE. */
export const HANDLE_MAX = 64
const TAG = 4
const DURABLE = 12
const SLOTS_FIRST = 1024
/** Entries that are used since the hand came by, and the root, which stays. */
const USED = 1
const PINNED = 2

export interface HandlesOptions {
  readonly fileSystem: FileSystem
  readonly volume: number
  readonly key: siphash.Key
  /** Of the table; rounded up to a power of two. */
  readonly capacity: number
}

export class Handles {
  readonly #fileSystem: FileSystem
  readonly #volume: number
  readonly #key: siphash.Key
  readonly #capacity: number
  readonly #scratch = new Uint8Array(HANDLE_MAX)
  readonly #byNode = new Map<NodeId, number>()
  #slots = 0
  #hand = 0
  #bytes = new Uint8Array(0)
  #lengths = new Uint8Array(0)
  #marks = new Uint8Array(0)
  #nodes = new Float64Array(0)
  #next = new Int32Array(0)
  #heads = new Int32Array(0)
  #count = 0

  constructor(options: HandlesOptions) {
    this.#fileSystem = options.fileSystem
    this.#volume = options.volume
    this.#key = keyOf(options.key, options.volume)
    this.#capacity = 2 ** Math.ceil(Math.log2(Math.max(2, options.capacity)))
    this.#grow(Math.min(SLOTS_FIRST, this.#capacity))
    new DataView(this.#scratch.buffer).setUint32(0, options.volume)
  }

  get count(): number {
    return this.#count
  }

  /** The node of a handle, or `-nfsstat3`. The node is valid during the call that is carried out. */
  find(memory: Uint8Array, start: number, length: number): number {
    if (length <= DURABLE || length > HANDLE_MAX) return -status.BADHANDLE
    const tag = word(memory, start + TAG)
    for (let slot = at(this.#heads, tag & (this.#heads.length - 1)); slot >= 0; slot = at(this.#next, slot)) {
      if (!this.#is(slot, memory, start, length)) continue
      if (at(this.#marks, slot) === 0) this.#marks[slot] = USED
      return at(this.#nodes, slot)
    }
    return this.#search(memory.subarray(start, start + length))
  }

  /**
   * Writes the handle of a node. `counted`: the caller has a reference to it and gives it away. Returns 0 or `-errno`, and then nothing was written.
   */
  emit(out: Writer, node: NodeId, counted: boolean): number {
    let slot = this.#byNode.get(node)
    if (slot === undefined) {
      slot = this.#make(node, counted)
      if (slot < 0) return slot
    } else {
      if (counted) this.#fileSystem.forget(node, 1)
      if (at(this.#marks, slot) === 0) this.#marks[slot] = USED
    }
    const from = slot * HANDLE_MAX
    out.opaque(this.#bytes.subarray(from, from + at(this.#lengths, slot)))
    return 0
  }

  /** Gives all references back. */
  clear(): void {
    for (let slot = 0; slot < this.#slots; slot++) if (at(this.#lengths, slot) > 0) this.#drop(slot)
  }

  #is(slot: number, memory: Uint8Array, start: number, length: number): boolean {
    if (at(this.#lengths, slot) !== length) return false
    const from = slot * HANDLE_MAX
    const bytes = this.#bytes
    for (let index = 0; index < length; index++)
      if (at(bytes, from + index) !== at(memory, start + index)) return false
    return true
  }

  #search(handle: Uint8Array): number {
    if (word(handle, 0) !== this.#volume || !tagged(this.#key, handle, 0, handle.length))
      return -status.BADHANDLE
    const node = this.#fileSystem.find(handle.subarray(DURABLE))
    if (node < 0) return node === -sys.EBADF ? -status.BADHANDLE : -status.of(node)
    this.#insert(handle, node, true)
    return node
  }

  #make(node: NodeId, counted: boolean): number {
    const handle = this.#scratch
    const length = this.#fileSystem.durable(node, handle.subarray(DURABLE, DURABLE + DURABLE_MAX))
    if (length <= 0) {
      if (counted) this.#fileSystem.forget(node, 1)
      return length === 0 ? -sys.ESTALE : length
    }
    siphash.hash(this.#key, handle, DURABLE, length)
    putWord(handle, TAG, siphash.result.low)
    putWord(handle, TAG + 4, siphash.result.high)
    return this.#insert(handle.subarray(0, DURABLE + length), node, counted)
  }

  #insert(handle: Uint8Array, node: NodeId, counted: boolean): number {
    const slot = this.#free()
    this.#bytes.set(handle, slot * HANDLE_MAX)
    this.#lengths[slot] = handle.length
    this.#nodes[slot] = node
    this.#marks[slot] = counted ? USED : PINNED
    const head = word(handle, TAG) & (this.#heads.length - 1)
    this.#next[slot] = at(this.#heads, head)
    this.#heads[head] = slot
    // A file that was moved may have a second handle. Both lead to it; the first one is given out.
    if (!this.#byNode.has(node)) this.#byNode.set(node, slot)
    this.#count++
    return slot
  }

  #free(): number {
    if (this.#count < this.#slots) {
      while (at(this.#lengths, this.#hand) > 0) this.#step()
      return this.#hand
    }
    if (this.#slots < this.#capacity) {
      const first = this.#slots
      this.#grow(this.#slots * 2)
      this.#hand = first
      return first
    }
    for (;;) {
      this.#step()
      const mark = at(this.#marks, this.#hand)
      if (mark === USED) this.#marks[this.#hand] = 0
      if (mark !== 0) continue
      this.#drop(this.#hand)
      return this.#hand
    }
  }

  #step(): void {
    this.#hand = (this.#hand + 1) & (this.#slots - 1)
  }

  #drop(slot: number): void {
    const node = at(this.#nodes, slot)
    const head = word(this.#bytes, slot * HANDLE_MAX + TAG) & (this.#heads.length - 1)
    const next = at(this.#next, slot)
    let before = at(this.#heads, head)
    if (before === slot) this.#heads[head] = next
    else {
      while (at(this.#next, before) !== slot) before = at(this.#next, before)
      this.#next[before] = next
    }
    if (this.#byNode.get(node) === slot) this.#byNode.delete(node)
    if (at(this.#marks, slot) !== PINNED) this.#fileSystem.forget(node, 1)
    this.#lengths[slot] = 0
    this.#marks[slot] = 0
    this.#count--
  }

  #grow(slots: number): void {
    const { length } = this.#bytes
    const old = { bytes: this.#bytes, lengths: this.#lengths, marks: this.#marks, nodes: this.#nodes }
    this.#bytes = new Uint8Array(slots * HANDLE_MAX)
    this.#lengths = new Uint8Array(slots)
    this.#marks = new Uint8Array(slots)
    this.#nodes = new Float64Array(slots)
    this.#bytes.set(old.bytes)
    this.#lengths.set(old.lengths)
    this.#marks.set(old.marks)
    this.#nodes.set(old.nodes)
    this.#next = new Int32Array(slots).fill(-1)
    this.#heads = new Int32Array(slots * 2).fill(-1)
    this.#slots = slots
    for (let slot = 0; slot < length / HANDLE_MAX; slot++) {
      const head = word(this.#bytes, slot * HANDLE_MAX + TAG) & (this.#heads.length - 1)
      this.#next[slot] = at(this.#heads, head)
      this.#heads[head] = slot
    }
  }
}

/** What is wrong with a handle of a volume that is not here: STALE for one that we gave out, BADHANDLE for another. */
export function strange(key: siphash.Key, memory: Uint8Array, start: number, length: number): number {
  if (length <= DURABLE || length > HANDLE_MAX) return status.BADHANDLE
  const ours = tagged(keyOf(key, word(memory, start)), memory, start, length)
  return ours ? status.STALE : status.BADHANDLE
}

/** Which volume a handle names; -1 for what is too short. */
export function volumeOf(memory: Uint8Array, start: number, length: number): number {
  return length <= DURABLE ? -1 : word(memory, start)
}

/** Each volume has its own key, so that a handle of one is none of another. */
function keyOf(key: siphash.Key, volume: number): siphash.Key {
  return { low: key.low ^ volume, high: key.high }
}

function tagged(key: siphash.Key, memory: Uint8Array, start: number, length: number): boolean {
  siphash.hash(key, memory, start + DURABLE, length - DURABLE)
  const { low, high } = siphash.result
  return word(memory, start + TAG) === low && word(memory, start + TAG + 4) === high
}

function word(bytes: Uint8Array, offset: number): number {
  return (
    ((at(bytes, offset) << 24) |
      (at(bytes, offset + 1) << 16) |
      (at(bytes, offset + 2) << 8) |
      at(bytes, offset + 3)) >>>
    0
  )
}

function putWord(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24
  bytes[offset + 1] = value >>> 16
  bytes[offset + 2] = value >>> 8
  bytes[offset + 3] = value
}
