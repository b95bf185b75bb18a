/**
 * The nodes: which file each is, where it was seen last, and how often clients hold it. 64 bytes a node in the store, besides its name and two places in indexes.
 *
 * ```
 *   0 id f64, 0 where the slot is free      16 inode u64 │ device u32 │ born: seconds, nanoseconds u32
 *   8 place f64: parent slot · 2^29 + name  36 references │ children │ descriptor + 1 │ newer │ older │ flags │ handles
 * ```
 *
 * What a successor needs is written so that it is whole at any moment: a node counts from when its id is stored, which is last, and it moves by one store.
 * Descriptors, their order, children and handles are counted anew. A file with several names keeps up to 8 of them.
 *
 * A node that nobody holds stays for a while, the oldest go first: NFS clients come back with durable handles.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { NodeId } from "../filesystem.ts"
import { f64, u32 } from "./cells.ts"
import { checkName, NAME_MAX } from "./memory.ts"
import { NameArena } from "./name-arena.ts"
import { OtherNames } from "./other-names.ts"
import { mix, SlotIndex } from "./slot-index.ts"
import type { Stat } from "./stat.ts"
import { NODE_BYTES, type Store } from "./store.ts"

const WORDS = NODE_BYTES / 4
const NUMBERS = NODE_BYTES / 8
const PLACE = 1
const INO_LOW = 4
const INO_HIGH = 5
const DEVICE = 6
const BORN_SECONDS = 7
const BORN_NANOSECONDS = 8
const REFERENCES = 9
const CHILDREN = 10
export const DESCRIPTOR = 11
export const NEWER = 12
export const OLDER = 13
const FLAGS = 14
const HANDLES = 15

/** The low four bits of the flags are the file's type, as in the high bits of its mode. */
const TYPE_SHIFT = 12
/** The file is gone for good, or its number is another file's: it is not found by that any more. */
const GONE = 0x10
/** It was not where it was seen last, and not in that directory at all. */
const LOST = 0x20
/** It waits to be dropped. */
const IDLE = 0x40
/** It has other names. */
const MANY = 0x80

export const ROOT_SLOT = 0
export const ROOT_ID: NodeId = 1
const PLACES = 2 ** 29
const MOST_REFERENCES = 2 ** 32 - 1
/** How far up a walk goes: PATH_MAX allows no more. */
export const DEPTH = 2048

export class NodeTable {
  readonly names: NameArena
  readonly others: OtherNames
  readonly words: Uint32Array
  readonly #numbers: Float64Array
  readonly #store: Store
  readonly #byId: SlotIndex
  readonly #byFile: SlotIndex
  readonly #free: number[] = []
  /** Ids that may be dropped, oldest first, as a ring. */
  readonly #idle: Float64Array
  /** Where names are looked at that a predecessor left. */
  readonly #checked = new Uint8Array(NAME_MAX + 1)
  #idleFirst = 0
  #idleCount = 0
  #count = 0
  /** Told before a node is dropped: its descriptor is to be closed. */
  onDrop: (slot: number) => void = () => undefined

  constructor(store: Store, idle: number) {
    this.#store = store
    this.words = store.nodes.words
    this.#numbers = store.nodes.numbers
    this.names = new NameArena(store.names.bytes, store.names.reserve)
    this.others = new OtherNames(store)
    this.#idle = new Float64Array(idle + 1)
    this.#byId = new SlotIndex({ hashOf: (slot) => hashId(this.id(slot)) })
    this.#byFile = new SlotIndex({
      hashOf: (slot) => mix(this.word(slot, INO_LOW), this.word(slot, INO_HIGH) ^ this.word(slot, DEVICE)),
    })
  }

  /** How many nodes there are. */
  get count(): number {
    return this.#count
  }

  word(slot: number, field: number): number {
    return u32(this.words, slot * WORDS + field)
  }

  setWord(slot: number, field: number, value: number): void {
    this.words[slot * WORDS + field] = value
  }

  id(slot: number): NodeId {
    return f64(this.#numbers, slot * NUMBERS)
  }

  /** The slot of an id that is known, or -1. */
  slotOf(id: NodeId): number {
    for (let place = this.#byId.first(hashId(id)); ; place = this.#byId.next(place)) {
      const slot = this.#byId.at(place)
      if (slot < 0 || this.id(slot) === id) return slot
    }
  }

  /** The slot of a file by its number, or -1. */
  slotOfFile(device: number, inoLow: number, inoHigh: number): number {
    const { words } = this
    for (let place = this.#byFile.first(mix(inoLow, inoHigh ^ device)); ; place = this.#byFile.next(place)) {
      const slot = this.#byFile.at(place)
      if (slot < 0) return -1
      const at = slot * WORDS
      if (
        u32(words, at + INO_LOW) === inoLow &&
        u32(words, at + INO_HIGH) === inoHigh &&
        u32(words, at + DEVICE) === device
      )
        return slot
    }
  }

  /** Whether what was asked last is the node's file, and not another that has its number now. */
  is(slot: number, stat: Stat): boolean {
    return (
      this.word(slot, INO_LOW) === stat.inoLow &&
      this.word(slot, INO_HIGH) === stat.inoHigh &&
      this.word(slot, DEVICE) === stat.device &&
      this.word(slot, BORN_NANOSECONDS) === stat.bornNanoseconds &&
      this.word(slot, BORN_SECONDS) === stat.bornSeconds
    )
  }

  /** Makes the root's row, or brings it up to date. */
  setRoot(stat: Stat): void {
    const known = this.id(ROOT_SLOT) === ROOT_ID
    if (known) this.#byFile.remove(ROOT_SLOT)
    else {
      this.#store.nodes.reserve(NODE_BYTES)
      this.#store.usedNodes = Math.max(this.#store.usedNodes, 1)
      this.#count++
    }
    this.#describe(ROOT_SLOT, stat)
    this.#numbers[ROOT_SLOT] = ROOT_ID
    this.#byFile.add(ROOT_SLOT)
    if (!known) this.#byId.add(ROOT_SLOT)
  }

  /** Makes a node of what was asked last, with one reference: a slot, or -ENFILE. */
  add(parent: number, name: Uint8Array, length: number, stat: Stat): number {
    const cell = this.names.add(name, length)
    if (cell === 0) return -sys.ENFILE
    const slot = this.#takeSlot()
    if (slot < 0) {
      this.names.free(cell)
      return slot
    }
    this.#describe(slot, stat)
    this.#numbers[slot * NUMBERS + PLACE] = parent * PLACES + cell
    this.setWord(slot, REFERENCES, 1)
    this.#numbers[slot * NUMBERS] = this.#store.nextNode()
    this.#changeChildren(parent, 1)
    this.#byId.add(slot)
    this.#byFile.add(slot)
    this.#count++
    return slot
  }

  parent(slot: number): number {
    return Math.floor(f64(this.#numbers, slot * NUMBERS + PLACE) / PLACES)
  }

  /** The cell of its name, for `names`. */
  name(slot: number): number {
    return f64(this.#numbers, slot * NUMBERS + PLACE) % PLACES
  }

  isAt(slot: number, parent: number, name: Uint8Array, length: number): boolean {
    return this.parent(slot) === parent && this.names.equals(this.name(slot), name, length)
  }

  /** The file was seen at this place; the former one is remembered where it is to be: that is where the file has several names. */
  seenAt(slot: number, parent: number, name: Uint8Array, length: number, remember: boolean): void {
    if (slot === ROOT_SLOT) return
    this.#clear(slot, LOST)
    if (this.isAt(slot, parent, name, length) || this.#isBelow(parent, slot)) return
    const cell = this.names.add(name, length)
    // Without room for the name it stays where it was: it may be found there.
    if (cell === 0) return
    const former = f64(this.#numbers, slot * NUMBERS + PLACE)
    const kept = remember && this.#remember(slot, former)
    this.forgetPlace(slot, parent, name, length)
    this.#numbers[slot * NUMBERS + PLACE] = parent * PLACES + cell
    this.#changeChildren(parent, 1)
    if (!kept) this.#dropPlace(former)
  }

  /** The file will be, or may already be, at this place too: said before a rename, so that a successor looks there. Returns whether that is noted. */
  mayBeAt(slot: number, parent: number, name: Uint8Array, length: number): boolean {
    if (slot === ROOT_SLOT || this.isAt(slot, parent, name, length) || this.#isBelow(parent, slot))
      return false
    const cell = this.names.add(name, length)
    if (cell === 0) return false
    const noted = this.#remember(slot, parent * PLACES + cell)
    if (noted) this.#changeChildren(parent, 1)
    else this.names.free(cell)
    return noted
  }

  /** The file does not have this name any more. Its first name stays if it is the only one. */
  forgetPlace(slot: number, parent: number, name: Uint8Array, length: number): void {
    if ((this.word(slot, FLAGS) & MANY) === 0) return
    const matches = (place: number): boolean =>
      Math.floor(place / PLACES) === parent && this.names.equals(place % PLACES, name, length)
    const place = this.others.take(slot, matches)
    if (place !== undefined) this.#dropPlace(place)
    else if (matches(f64(this.#numbers, slot * NUMBERS + PLACE))) this.#useOther(slot)
    if (!this.others.has(slot)) this.#clear(slot, MANY)
  }

  /** Its next name becomes the first, and the first the last. Returns false where it has only one. */
  rotate(slot: number): boolean {
    if ((this.word(slot, FLAGS) & MANY) === 0) return false
    const former = f64(this.#numbers, slot * NUMBERS + PLACE)
    const next = this.others.rotate(slot, former)
    if (next === undefined) return false
    this.#numbers[slot * NUMBERS + PLACE] = next
    return true
  }

  /** How many names are kept. */
  nameCount(slot: number): number {
    return 1 + ((this.word(slot, FLAGS) & MANY) === 0 ? 0 : this.others.count(slot))
  }

  /** `S_IF…` */
  type(slot: number): number {
    return (this.word(slot, FLAGS) & 0xf) << TYPE_SHIFT
  }

  /** Whether an inode may be given to another file unnoticed, unless a descriptor keeps it. */
  isAnonymous(slot: number): boolean {
    return this.word(slot, BORN_SECONDS) === 0 && this.word(slot, BORN_NANOSECONDS) === 0
  }

  birth(slot: number): number {
    return mix(this.word(slot, BORN_SECONDS), this.word(slot, BORN_NANOSECONDS))
  }

  inoLow(slot: number): number {
    return this.word(slot, INO_LOW)
  }

  inoHigh(slot: number): number {
    return this.word(slot, INO_HIGH)
  }

  device(slot: number): number {
    return this.word(slot, DEVICE)
  }

  isGone(slot: number): boolean {
    return (this.word(slot, FLAGS) & GONE) !== 0
  }

  isLost(slot: number): boolean {
    return (this.word(slot, FLAGS) & (GONE | LOST)) !== 0
  }

  setLost(slot: number): void {
    this.#set(slot, LOST)
  }

  /** The file has no name any more. Who has its number from now on is another one. */
  setGone(slot: number): void {
    if (slot === ROOT_SLOT || this.isGone(slot)) return
    this.#byFile.remove(slot)
    this.#set(slot, GONE)
  }

  references(slot: number): number {
    return this.word(slot, REFERENCES)
  }

  refer(slot: number): void {
    const references = this.references(slot)
    if (references < MOST_REFERENCES) this.setWord(slot, REFERENCES, references + 1)
  }

  unrefer(slot: number, count: number): void {
    const references = this.references(slot)
    this.setWord(slot, REFERENCES, Math.max(0, references - count))
    if (references <= count) this.#idleIfUnused(slot)
  }

  handles(slot: number): number {
    return this.word(slot, HANDLES)
  }

  changeHandles(slot: number, by: number): void {
    this.setWord(slot, HANDLES, this.handles(slot) + by)
    if (by < 0) this.#idleIfUnused(slot)
  }

  /** Counts anew what a predecessor left. Returns the end of a sentence where it cannot be right: nothing of it is to be used then. */
  inherit(): string | undefined {
    const used = this.#store.usedNodes
    if (!this.#store.nodes.reserve(used * NODE_BYTES)) return "is cut off"
    const cells: number[] = []
    for (let slot = 0; slot < used; slot++) {
      if (this.id(slot) === 0) {
        if (slot !== ROOT_SLOT) this.#free.push(slot)
        continue
      }
      for (const field of [CHILDREN, DESCRIPTOR, NEWER, OLDER, HANDLES]) this.setWord(slot, field, 0)
      this.#clear(slot, IDLE | MANY)
      if (!this.#isWhole(slot, used)) return "is damaged"
      this.#byId.add(slot)
      if (!this.isGone(slot)) this.#byFile.add(slot)
      this.#count++
      if (slot !== ROOT_SLOT) cells.push(this.name(slot))
    }
    const valid = (place: number): boolean => this.#isPlace(place, used)
    const first = (slot: number): number => f64(this.#numbers, slot * NUMBERS + PLACE)
    if (!this.others.inherit((id) => this.slotOf(id), valid, first)) return "is damaged"
    this.others.each((slot, place) => {
      this.#set(slot, MANY)
      cells.push(place % PLACES)
    })
    if (!this.names.adopt(cells)) return "is damaged"
    this.#countChildren(used)
    return undefined
  }

  /** After handles are counted: what nobody holds may go. */
  settle(): void {
    for (let slot = 1; slot < this.#store.usedNodes; slot++) if (this.id(slot) !== 0) this.#idleIfUnused(slot)
  }

  #countChildren(used: number): void {
    const count = (place: number): void => {
      const parent = Math.floor(place / PLACES)
      this.setWord(parent, CHILDREN, this.word(parent, CHILDREN) + 1)
    }
    for (let slot = 1; slot < used; slot++)
      if (this.id(slot) !== 0) count(f64(this.#numbers, slot * NUMBERS + PLACE))
    this.others.each((_, place) => count(place))
  }

  #isWhole(slot: number, used: number): boolean {
    const id = this.id(slot)
    if (slot === ROOT_SLOT) return id === ROOT_ID
    if (!Number.isSafeInteger(id) || id <= ROOT_ID || id >= this.#store.nodeLimit) return false
    return this.slotOf(id) < 0 && this.#isPlace(f64(this.#numbers, slot * NUMBERS + PLACE), used)
  }

  #isPlace(place: number, used: number): boolean {
    if (!Number.isSafeInteger(place) || place < 0) return false
    const parent = Math.floor(place / PLACES)
    const cell = place % PLACES
    if (parent >= used || this.id(parent) === 0 || !this.names.inside(cell)) return false
    return checkName(this.#checked, this.names.copy(cell, this.#checked)) > 0
  }

  #describe(slot: number, stat: Stat): void {
    this.setWord(slot, INO_LOW, stat.inoLow)
    this.setWord(slot, INO_HIGH, stat.inoHigh)
    this.setWord(slot, DEVICE, stat.device)
    this.setWord(slot, BORN_SECONDS, stat.bornSeconds)
    this.setWord(slot, BORN_NANOSECONDS, stat.bornNanoseconds)
    this.setWord(slot, FLAGS, stat.mode >>> TYPE_SHIFT)
  }

  #takeSlot(): number {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const slot = this.#store.usedNodes
    if (slot >= this.#store.capacity || !this.#store.nodes.reserve((slot + 1) * NODE_BYTES)) {
      // Those that nobody holds go before somebody hears that there are too many.
      this.#dropIdle(0)
      return this.#free.pop() ?? -sys.ENFILE
    }
    this.#store.usedNodes = slot + 1
    return slot
  }

  /** Whether `slot` is `ancestor` or below it: bind mounts could make a ring of what is not one. */
  #isBelow(slot: number, ancestor: number): boolean {
    if (this.type(ancestor) !== sys.S_IFDIR) return false
    let at = slot
    for (let depth = 0; at !== ROOT_SLOT && depth < DEPTH; depth++) {
      if (at === ancestor) return true
      at = this.parent(at)
    }
    return at !== ROOT_SLOT
  }

  #remember(slot: number, place: number): boolean {
    if (!this.others.add(slot, this.id(slot), place)) return false
    this.#set(slot, MANY)
    return true
  }

  #useOther(slot: number): void {
    const next = this.others.take(slot, () => true)
    if (next === undefined) return
    const former = f64(this.#numbers, slot * NUMBERS + PLACE)
    this.#numbers[slot * NUMBERS + PLACE] = next
    this.#dropPlace(former)
  }

  #dropPlace(place: number): void {
    this.names.free(place % PLACES)
    this.#changeChildren(Math.floor(place / PLACES), -1)
  }

  #changeChildren(slot: number, by: number): void {
    this.setWord(slot, CHILDREN, this.word(slot, CHILDREN) + by)
    if (by < 0) this.#idleIfUnused(slot)
  }

  #isUnused(slot: number): boolean {
    return (
      slot !== ROOT_SLOT &&
      this.word(slot, REFERENCES) === 0 &&
      this.word(slot, CHILDREN) === 0 &&
      this.word(slot, HANDLES) === 0
    )
  }

  #idleIfUnused(slot: number): void {
    if (!this.#isUnused(slot)) return
    if (this.isGone(slot)) {
      this.#drop(slot)
      return
    }
    if ((this.word(slot, FLAGS) & IDLE) !== 0) return
    if (this.#idleCount >= this.#idle.length - 1) this.#dropIdle(this.#idle.length - 2)
    this.#set(slot, IDLE)
    this.#idle[(this.#idleFirst + this.#idleCount) % this.#idle.length] = this.id(slot)
    this.#idleCount++
  }

  /** Drops the oldest until at most `most` wait. Those that are held again do not wait any more. */
  #dropIdle(most: number): void {
    while (this.#idleCount > Math.max(most, 0)) {
      const slot = this.slotOf(f64(this.#idle, this.#idleFirst))
      this.#idleFirst = (this.#idleFirst + 1) % this.#idle.length
      this.#idleCount--
      if (slot < 0) continue
      this.#clear(slot, IDLE)
      if (this.#isUnused(slot)) this.#drop(slot)
    }
  }

  #drop(slot: number): void {
    this.onDrop(slot)
    this.#byId.remove(slot)
    if (!this.isGone(slot)) this.#byFile.remove(slot)
    const place = f64(this.#numbers, slot * NUMBERS + PLACE)
    // From here on it is not there for a successor.
    this.#numbers[slot * NUMBERS] = 0
    this.#count--
    for (;;) {
      const other = this.others.take(slot, () => true)
      if (other === undefined) break
      this.#dropPlace(other)
    }
    this.#free.push(slot)
    this.#dropPlace(place)
  }

  #set(slot: number, flags: number): void {
    this.setWord(slot, FLAGS, this.word(slot, FLAGS) | flags)
  }

  #clear(slot: number, flags: number): void {
    this.setWord(slot, FLAGS, this.word(slot, FLAGS) & ~flags)
  }
}

function hashId(id: NodeId): number {
  return mix(id >>> 0, Math.floor(id / 2 ** 32))
}
