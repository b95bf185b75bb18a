/**
 * Memory as a guest has it: regions of sealed memfds with a hole between them, and a pump that hands out pieces.
 *
 * @module
 */
import { check } from "@skep/loop"
import { type Mapping, mapShared } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Region } from "./message.ts"

const GIB = 2 ** 30
const ALIGN = 64
/** Where the front end's process pretends to have its first region; far from real addresses, so that a mix-up is noticed. */
const USER_BASE = 0x5000_0000_0000

export interface RamRegion extends Region {
  readonly fd: number
  readonly mapping: Mapping
  readonly bytes: Uint8Array
}

export interface GuestRamOptions {
  /** Bytes of each region, multiples of a page. One below the hole at 3 GiB and one over 4 GiB unless told. */
  readonly sizes?: readonly number[]
  readonly guestAddresses?: readonly number[]
  /** Leaves the files unsealed, as a careless front end does. */
  readonly unsealed?: boolean
}

/** Guest addresses unless told: the low memory of a PC, what follows the hole below 4 GiB, and more. */
const PLACES = [0, 4 * GIB, 6 * GIB, 9 * GIB]

export class GuestRam implements Disposable {
  readonly regions: readonly RamRegion[]
  readonly #next: number[]

  constructor(options: GuestRamOptions = {}) {
    const sizes = options.sizes ?? [1 << 20, 4 << 20]
    this.regions = sizes.map((size, index) => region(size, index, options))
    this.#next = sizes.map(() => 0)
  }

  /** A piece of a region that nobody has, by its guest address. */
  allocate(length: number, index: number = this.regions.length - 1, align: number = ALIGN): number {
    const region = this.#region(index)
    const offset = Math.ceil((this.#next[index] ?? 0) / align) * align
    if (offset + length > region.size)
      throw new RangeError(`region ${index} of ${region.size} bytes is used up`)
    this.#next[index] = offset + length
    return region.guestAddress + offset
  }

  /** Bytes at a guest address, as the guest sees them. They lie in one region. */
  bytes(guestAddress: number, length: number): Uint8Array {
    const { region, offset } = this.#at(guestAddress)
    return region.bytes.subarray(offset, offset + length)
  }

  view(guestAddress: number, length: number): DataView {
    const bytes = this.bytes(guestAddress, length)
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** What the front end's process calls it. */
  userAddress(guestAddress: number): number {
    const { region, offset } = this.#at(guestAddress)
    return region.userAddress + offset
  }

  [Symbol.dispose](): void {
    for (const { mapping, fd } of this.regions) {
      mapping[Symbol.dispose]()
      sys.close(fd)
    }
  }

  #at(guestAddress: number): { readonly region: RamRegion; readonly offset: number } {
    const found = this.regions.find(
      (each) => guestAddress >= each.guestAddress && guestAddress < each.guestAddress + each.size,
    )
    if (found === undefined) throw new RangeError(`the guest has no memory at 0x${guestAddress.toString(16)}`)
    return { region: found, offset: guestAddress - found.guestAddress }
  }

  #region(index: number): RamRegion {
    const found = this.regions[index]
    if (found === undefined) throw new RangeError(`there is no region ${index}`)
    return found
  }
}

function region(size: number, index: number, options: GuestRamOptions): RamRegion {
  const fd = check(sys.memfdCreate(`guest ram ${index}`), "memfd_create")
  check(sys.ftruncate(fd, size), "ftruncate")
  if (options.unsealed !== true) check(sys.addSeals(fd, sys.F_SEAL_SHRINK | sys.F_SEAL_GROW), "fcntl")
  const mapping = mapShared(fd, size, { shrinkable: "accept" })
  const guestAddress = options.guestAddresses?.[index] ?? PLACES[index] ?? index * 16 * GIB
  // In another order than the guest's, as QEMU's own mappings are.
  const userAddress = USER_BASE - index * 64 * GIB
  return {
    guestAddress,
    size,
    userAddress,
    mapOffset: 0,
    fd,
    mapping,
    bytes: new Uint8Array(mapping.view(0, size)),
  }
}
