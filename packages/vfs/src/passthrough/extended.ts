/**
 * Extended attributes: those of users, but for what Skep keeps there itself. The others are the host's business: security labels, capabilities, access lists.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { u8 } from "./cells.ts"
import type { Core } from "./core.ts"
import { NAME_MAX } from "./memory.ts"
import { ROOT_SLOT } from "./node-table.ts"

const USER = Buffer.from("user.")
/** What is kept by layers above; they get at it by `reserved`. */
export const RESERVED_PREFIX = "user.skep."
const RESERVED = Buffer.from(RESERVED_PREFIX)
const VALUE_MAX = 65536

export class Extended {
  readonly #core: Core
  /** Whether it is for the reserved ones alone, or all but them. */
  readonly #reserved: boolean

  constructor(core: Core, reserved: boolean) {
    this.#core = core
    this.#reserved = reserved
  }

  get(slot: number, name: Uint8Array, into: Uint8Array): number {
    const { memory } = this.#core
    const error = this.#take(name)
    if (error < 0) return error
    const wanted = Math.min(into.length, VALUE_MAX)
    const length = this.#read(slot, wanted)
    if (length > 0 && wanted > 0) into.set(memory.value.bytes.subarray(0, length))
    return length
  }

  set(slot: number, name: Uint8Array, value: Uint8Array, flags: number): number {
    const { memory, options } = this.#core
    const path = this.#path(slot, name)
    if (path < 0) return path
    if (options.readOnly) return -sys.EROFS
    if (value.length > VALUE_MAX) return -sys.E2BIG
    memory.value.bytes.set(value)
    return sys.setxattr(path, memory.attribute.address, memory.value.address, value.length, flags)
  }

  list(slot: number, into: Uint8Array): number {
    const { memory } = this.#core
    const fd = this.#core.descriptor(slot)
    if (fd < 0) return fd
    const { address, length, bytes } = memory.list
    const listed = sys.listxattr(memory.descriptorPath(fd), address, length)
    if (listed < 0) return listed === -sys.EOPNOTSUPP ? 0 : listed
    let total = 0
    for (let at = 0; at < listed; ) {
      const end = bytes.indexOf(0, at) + 1
      const name = bytes.subarray(at, end)
      if (this.#allows(name) === 0) {
        if (into.length > 0) {
          if (total + name.length > into.length) return -sys.ERANGE
          into.set(name, total)
        }
        total += name.length
      }
      at = end
    }
    return total
  }

  remove(slot: number, name: Uint8Array): number {
    const { memory, options } = this.#core
    const path = this.#path(slot, name)
    if (path < 0) return path
    return options.readOnly ? -sys.EROFS : sys.removexattr(path, memory.attribute.address)
  }

  #read(slot: number, wanted: number): number {
    const { memory, handles, walker, table } = this.#core
    const { attribute, value } = memory
    const open = handles.descriptorOf(slot)
    if (open >= 0) return sys.fgetxattr(open, attribute.address, value.address, wanted)
    if (this.#reserved && slot !== ROOT_SLOT && !table.isGone(slot) && walker.kept(slot) < 0) {
      // By its name, so that `find` and `ls` cost no descriptor. Whoever moves another file there meanwhile changes what both say of their
      // last change, by which the layers above keep what they have read.
      const directory = walker.descriptor(table.parent(slot))
      if (directory >= 0) {
        const length = table.names.copy(table.name(slot), memory.walked.bytes)
        const path = memory.namePath(directory, memory.walked.bytes, length)
        const result = sys.lgetxattr(path, attribute.address, value.address, wanted)
        if (result !== -sys.ENOENT) return result
      }
    }
    const fd = this.#core.descriptor(slot)
    if (fd < 0) return fd
    return sys.getxattr(memory.descriptorPath(fd), attribute.address, value.address, wanted)
  }

  /** Takes the name; returns the address of a path that leads to the file. */
  #path(slot: number, name: Uint8Array): number {
    const error = this.#take(name)
    if (error < 0) return error
    const fd = this.#core.descriptor(slot)
    return fd < 0 ? fd : this.#core.memory.descriptorPath(fd)
  }

  /** Takes the name, and checks it. */
  #take(name: Uint8Array): number {
    const { memory } = this.#core
    const { length } = name
    if (length === 0 || length > NAME_MAX) return -sys.ERANGE
    const { bytes } = memory.attribute
    bytes.set(name)
    bytes[length] = 0
    if (bytes.indexOf(0) !== length) return -sys.EINVAL
    return this.#allows(bytes)
  }

  #allows(name: Uint8Array): number {
    if (!startsWith(name, USER)) return -sys.EOPNOTSUPP
    return startsWith(name, RESERVED) === this.#reserved ? 0 : -sys.EPERM
  }
}

function startsWith(name: Uint8Array, prefix: Uint8Array): boolean {
  if (name.length < prefix.length) return false
  for (let index = 0; index < prefix.length; index++) if (u8(name, index) !== u8(prefix, index)) return false
  return true
}
