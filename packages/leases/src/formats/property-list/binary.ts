/**
 * Binary property lists, `bplist00`: CoreFoundation's CFBinaryPList.c.
 *
 *     bplist00 | objects | offsets of the objects, in order | trailer of 32 bytes:
 *     6 unused | 1 bytes of an offset | 1 bytes of a reference | 8 objects | 8 the first object | 8 where the offsets begin
 *
 * An object is a byte, its type in the high half and mostly its length in the low one, 15 where the length follows as a number; and its bytes. Lists and
 * dictionaries have references: places in the table of offsets.
 *
 * @module
 */
import { Budget, type Dictionary, Malformed, type Value } from "./value.ts"

export const MAGIC = "bplist00"
const TRAILER = 32
const FALSE = 0x08
const TRUE = 0x09
const LONG = 0x0f

const type = {
  single: 0,
  integer: 1,
  real: 2,
  date: 3,
  data: 4,
  ascii: 5,
  utf16: 6,
  uid: 8,
  list: 10,
  set: 12,
  dictionary: 13,
}

/** Throws Malformed. */
export function parseBinary(bytes: Buffer): Value {
  return new Reader(bytes).first()
}

class Reader {
  readonly #bytes: Buffer
  readonly #budget = new Budget()
  readonly #offsetSize: number
  readonly #referenceSize: number
  readonly #count: number
  readonly #first: number
  readonly #offsets: number

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    const trailer = bytes.length - TRAILER
    if (trailer < MAGIC.length) throw new Malformed(1, "a binary property list without its end")
    this.#offsetSize = bytes.readUInt8(trailer + 6)
    this.#referenceSize = bytes.readUInt8(trailer + 7)
    this.#count = this.#unsigned(trailer + 8, 8)
    this.#first = this.#unsigned(trailer + 16, 8)
    this.#offsets = this.#unsigned(trailer + 24, 8)
    const fits = this.#offsets + this.#count * this.#offsetSize <= trailer
    if (!fits || !isSize(this.#offsetSize) || !isSize(this.#referenceSize))
      throw new Malformed(1, "a binary property list whose end makes no sense")
  }

  first(): Value {
    return this.#object(this.#first, 0)
  }

  #object(reference: number, depth: number): Value {
    this.#budget.spend(depth, 1)
    if (reference >= this.#count) throw new Malformed(1, "a reference to an object that is not there")
    const at = this.#unsigned(this.#offsets + reference * this.#offsetSize, this.#offsetSize)
    const marker = this.#unsigned(at, 1)
    const low = marker & LONG
    switch (marker >> 4) {
      case type.single:
        return single(marker)
      case type.integer:
        return this.#signed(at + 1, 2 ** low)
      case type.real:
      case type.date:
        return this.#real(at + 1, 2 ** low)
      case type.uid:
        return this.#unsigned(at + 1, low + 1)
      default:
        return this.#sized(marker >> 4, at, depth)
    }
  }

  /** Objects with a length. */
  #sized(kind: number, at: number, depth: number): Value {
    const low = this.#unsigned(at, 1) & LONG
    const lengthSize = low === LONG ? 2 ** (this.#unsigned(at + 1, 1) & LONG) : 0
    const length = low === LONG ? this.#unsigned(at + 2, lengthSize) : low
    const start = low === LONG ? at + 2 + lengthSize : at + 1
    switch (kind) {
      case type.data:
        return this.#slice(start, length)
      case type.ascii:
        return this.#slice(start, length).toString("latin1")
      case type.utf16:
        return Buffer.from(this.#slice(start, length * 2))
          .swap16()
          .toString("utf16le")
      case type.list:
      case type.set:
        return this.#references(start, length).map((reference) => this.#object(reference, depth + 1))
      case type.dictionary:
        return this.#dictionary(start, length, depth)
      default:
        throw new Malformed(1, "an object of no type that is known")
    }
  }

  #dictionary(start: number, length: number, depth: number): Dictionary {
    const references = this.#references(start, length * 2)
    const entries = references.slice(0, length).map((reference, index): [string, Value] => {
      const key = this.#object(reference, depth + 1)
      if (typeof key !== "string") throw new Malformed(1, "a key that is no text")
      return [key, this.#object(references[length + index] ?? this.#count, depth + 1)]
    })
    return new Map(entries)
  }

  #references(start: number, count: number): readonly number[] {
    const size = this.#referenceSize
    this.#check(start, count * size)
    return Array.from({ length: count }, (_, index) => this.#unsigned(start + index * size, size))
  }

  #slice(start: number, length: number): Buffer {
    this.#check(start, length)
    return this.#bytes.subarray(start, start + length)
  }

  #check(start: number, length: number): void {
    if (!(start >= 0 && length >= 0 && start + length <= this.#bytes.length))
      throw new Malformed(1, "a value that lies outside of the file")
  }

  /** At most 16 bytes, of which those before the last six have to be zero. */
  #unsigned(at: number, size: number): number {
    this.#check(at, size)
    const head = Math.max(0, size - 6)
    if (size > 16 || this.#bytes.subarray(at, at + head).some((byte) => byte !== 0))
      throw new Malformed(1, "a number that is too big")
    return this.#bytes.readUIntBE(at + head, size - head)
  }

  /** Shorter than eight bytes they are unsigned. */
  #signed(at: number, size: number): number {
    this.#check(at, size)
    return size === 8 ? Number(this.#bytes.readBigInt64BE(at)) : this.#unsigned(at, size)
  }

  #real(at: number, size: number): number {
    this.#check(at, size)
    if (size === 4) return this.#bytes.readFloatBE(at)
    if (size === 8) return this.#bytes.readDoubleBE(at)
    throw new Malformed(1, "a number of no size that is known")
  }
}

function single(marker: number): boolean {
  if (marker !== TRUE && marker !== FALSE) throw new Malformed(1, "an object of no type that is known")
  return marker === TRUE
}

function isSize(size: number): boolean {
  return size >= 1 && size <= 8
}
