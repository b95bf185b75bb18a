/**
 * Names of files that outlive every process: what the file is, and by what directories it is found.
 *
 * ```
 *  0 version │ 1 depth │ 2 check u16 │ 4 inode u64 │ 12 birth u32 │ 16 device u32 │ 20 for each directory between root and file: its inode's hash u16
 * ```
 *
 * unfs3's idea: a file that is not known is searched from the root on, only in directories whose inode has the right hash, so that renames of those do not
 * matter. What is found is compared by inode and date of birth. Nothing but what is below the root can be found, so a forged handle leads to nothing that its maker
 * could not look up. Of deeper files the 14 directories next to the root are kept, and more are tried below.
 *
 * @module
 */

import * as sys from "@skep/loop/sys"
import { type Attributes, DURABLE_MAX, newAttributes } from "../filesystem.ts"
import { i32, u8 } from "./cells.ts"
import type { Core } from "./core.ts"
import { DEPTH, ROOT_SLOT } from "./node-table.ts"
import { scan } from "./scan.ts"
import { mix } from "./slot-index.ts"

const VERSION = 1
const CHECK = 2
const INODE = 4
const BIRTH = 12
const DEVICE = 16
const PATH = 20
/** Left to whoever puts several file systems together, to say which one it is. */
const OTHERS = 4
const MOST_HASHES = (DURABLE_MAX - OTHERS - PATH) / 2
const MOST_DEPTH = 255
/** How many directories one search reads. */
const BUDGET = 512

/** Directories between a node and the root, the nearest one first. */
const above = new Int32Array(DEPTH)

/** Writes the handle of a node; returns its length. */
export function emit({ table }: Core, slot: number, into: Uint8Array): number {
  let depth = 0
  if (slot !== ROOT_SLOT)
    for (let at = table.parent(slot); at !== ROOT_SLOT && depth < DEPTH; at = table.parent(at))
      above[depth++] = at
  const hashes = Math.min(depth, MOST_HASHES)
  const length = PATH + 2 * hashes
  if (into.length < length) return -sys.ERANGE
  into[0] = VERSION
  into[1] = Math.min(depth, MOST_DEPTH)
  put32(into, INODE, table.inoLow(slot))
  put32(into, INODE + 4, table.inoHigh(slot))
  put32(into, BIRTH, table.birth(slot))
  put32(into, DEVICE, table.device(slot))
  for (let index = 0; index < hashes; index++) {
    const directory = i32(above, depth - 1 - index)
    put16(into, PATH + 2 * index, hash16(table.inoLow(directory), table.inoHigh(directory)))
  }
  put16(into, CHECK, check(into, length))
  return length
}

function put16(into: Uint8Array, at: number, value: number): void {
  into[at] = value
  into[at + 1] = value >>> 8
}

function put32(into: Uint8Array, at: number, value: number): void {
  put16(into, at, value)
  put16(into, at + 2, value >>> 16)
}

/** The node of a handle with one reference more, or -EBADF, -ESTALE. */
export function find(core: Core, durable: Uint8Array): number {
  const wanted = parse(durable)
  if (wanted === undefined) return -sys.EBADF
  const { table } = core
  const slot = table.slotOfFile(wanted.device, wanted.inoLow, wanted.inoHigh)
  if (slot >= 0 && table.birth(slot) === wanted.birth) {
    const result = core.ask(slot)
    // One that is gone may be kept by a descriptor.
    if (result === 0 && core.stat.links > 0) {
      table.refer(slot)
      return table.id(slot)
    }
    if (result < 0 && result !== -sys.ESTALE) return result
  }
  return new Search(core, wanted).below(ROOT_SLOT, 0)
}

interface Wanted {
  readonly inoLow: number
  readonly inoHigh: number
  readonly birth: number
  readonly device: number
  readonly depth: number
  readonly hashes: readonly number[]
}

function parse(durable: Uint8Array): Wanted | undefined {
  // A copy, since it may be the guest's memory; not by slice(), which is a view where it is a Buffer's.
  const bytes = Uint8Array.from(durable.subarray(0, DURABLE_MAX + 1))
  const count = (bytes.length - PATH) / 2
  if (!Number.isInteger(count) || count < 0 || count > MOST_HASHES || u8(bytes, 0) !== VERSION)
    return undefined
  const view = new DataView(bytes.buffer)
  const depth = view.getUint8(1)
  if (count !== Math.min(depth, MOST_HASHES) || view.getUint16(CHECK, true) !== check(bytes, bytes.length))
    return undefined
  return {
    inoLow: view.getUint32(INODE, true),
    inoHigh: view.getUint32(INODE + 4, true),
    birth: view.getUint32(BIRTH, true),
    device: view.getUint32(DEVICE, true),
    depth,
    hashes: Array.from({ length: count }, (_, index) => view.getUint16(PATH + 2 * index, true)),
  }
}

class Search {
  readonly #core: Core
  readonly #wanted: Wanted
  readonly #attributes: Attributes = newAttributes()
  #budget = BUDGET

  constructor(core: Core, wanted: Wanted) {
    this.#core = core
    this.#wanted = wanted
  }

  /** Searches a directory that has `level` others between itself and the root, itself counted. */
  below(directory: number, level: number): number {
    if (this.#budget-- <= 0) return -sys.ESTALE
    const fd = this.#core.descriptor(directory)
    if (fd < 0) return fd
    const atEnd = level >= this.#wanted.depth
    const names = this.#candidates(fd, level, atEnd)
    for (const name of names) {
      const node = this.#look(directory, name)
      if (node < 0) continue
      const { table } = this.#core
      const slot = table.slotOf(node)
      if (atEnd && this.#isWanted(slot)) return node
      const further = !atEnd && table.type(slot) === sys.S_IFDIR
      const found = further ? this.below(slot, level + 1) : -sys.ESTALE
      table.unrefer(slot, 1)
      if (found !== -sys.ESTALE) return found
    }
    return -sys.ESTALE
  }

  #candidates(fd: number, level: number, atEnd: boolean): readonly Uint8Array[] {
    const { inoLow, inoHigh, hashes } = this.#wanted
    const hash = hashes[level]
    const names: Uint8Array[] = []
    scan(this.#core.memory, fd, (entry) => {
      const right = atEnd
        ? entry.inoLow === inoLow && entry.inoHigh === inoHigh
        : hash === undefined || hash === hash16(entry.inoLow, entry.inoHigh)
      if (right) names.push(entry.name.slice())
      return names.length < BUDGET
    })
    return names
  }

  /** The node of a name, with a reference. */
  #look(directory: number, name: Uint8Array): number {
    const { memory, stat } = this.#core
    const fd = this.#core.descriptor(directory)
    const length = memory.takeName(name)
    if (fd < 0 || length < 0 || stat.ofName(fd, memory.name.address) < 0) return -sys.ESTALE
    return this.#core.know(directory, memory.name, length, this.#attributes)
  }

  #isWanted(slot: number): boolean {
    const { table } = this.#core
    const { inoLow, inoHigh, birth } = this.#wanted
    return table.inoLow(slot) === inoLow && table.inoHigh(slot) === inoHigh && table.birth(slot) === birth
  }
}

function hash16(low: number, high: number): number {
  return mix(low, high) & 0xffff
}

/** Of all bytes but its own. Tells what is no handle from what was one. */
function check(bytes: Uint8Array, length: number): number {
  let sum = length
  for (let index = 0; index < length; index++)
    if (index !== CHECK && index !== CHECK + 1) sum = mix(sum, u8(bytes, index) + index * 256)
  return sum & 0xffff
}
