/**
 * A struct msghdr in scratch memory, with room for a socket's name, for descriptors and for what else the kernel tells: what sendmsg and recvmsg
 * take (unix(7), cmsg(3)).
 *
 * ```
 * msghdr  | name * | name length u32, pad | iov * | iov count u64 | control * | control length u64 | flags u32, pad |
 * control | length u64 | level u32 | type u32 | descriptor i32 … | padding to 8 |
 * ```
 *
 * @module
 */
import { CMSGHDR, MSGHDR } from "../sys/abi.ts"
import { IPPROTO_UDP, MSG_CTRUNC, SCM_MAX_FD, SCM_RIGHTS, SOL_SOCKET, UDP_SEGMENT } from "../sys/constants.ts"
import type { Iovecs } from "./iovecs.ts"
import type { Region, Scratch } from "./scratch.ts"
import { at, getU64, setU64 } from "./words.ts"

const FD_SIZE = 4
/** The size of a datagram is an u16. */
const SEGMENT_SIZE = 2
/** sizeof(struct sockaddr_storage). */
const NAME_SIZE = 128

/** One header, used again for each message. `header` is what the kernel is given. */
export class Message {
  readonly maxFds: number
  /** The name of the other side, as `encodeAddress` makes it and `parseAddress` reads it: `nameLength` bytes of it after a receive. */
  readonly name: Uint8Array
  /** What came beside the bytes: headers and data, where `control` finds them. */
  readonly controls: Uint8Array
  readonly #header: Region
  readonly #name: Region
  readonly #control: Region

  /** `maxFds` is the most that one message brings; the kernel closes those beyond and `truncated` says so. */
  constructor(scratch: Scratch, name: string, maxFds = 8) {
    if (maxFds > SCM_MAX_FD) throw new RangeError(`Cannot pass ${maxFds} descriptors: at most ${SCM_MAX_FD}`)
    this.maxFds = maxFds
    this.#header = scratch.region(`${name}.header`, MSGHDR.size)
    this.#name = scratch.region(`${name}.name`, NAME_SIZE)
    this.#control = scratch.region(`${name}.control`, CMSGHDR.size + align(Math.max(1, maxFds) * FD_SIZE))
    this.name = this.#name.bytes
    this.controls = this.#control.bytes
  }

  get header(): number {
    return this.#header.address
  }

  /** Bytes from `iovecs` and these descriptors, which stay ours. At least one byte must go with them. */
  prepareSend(iovecs: Iovecs, fds: readonly number[] = []): void {
    if (fds.length > this.maxFds)
      throw new RangeError(`Cannot pass ${fds.length} descriptors: there is room for ${this.maxFds}`)
    this.#prepare(iovecs, fds.length === 0 ? 0 : CMSGHDR.size + align(fds.length * FD_SIZE))
    const { u32 } = this.#control
    setU64(u32, CMSGHDR.length / 4, CMSGHDR.size + fds.length * FD_SIZE)
    u32[CMSGHDR.level / 4] = SOL_SOCKET
    u32[CMSGHDR.type / 4] = SCM_RIGHTS
    for (let i = 0; i < fds.length; i++) u32[CMSGHDR.size / 4 + i] = fds[i] ?? -1
  }

  /** Bytes from `iovecs` to whom the first `nameLength` bytes of `name` name. */
  prepareSendTo(iovecs: Iovecs, nameLength: number): void {
    this.#prepare(iovecs, 0)
    this.#prepareName(nameLength)
  }

  /**
   * Bytes from `iovecs` that go as datagrams of `size` bytes each, of which the last may be shorter (udp(7), UDP_SEGMENT): to whom the socket is
   * connected, or to whom the first `nameLength` bytes of `name` name. The kernel takes 64 of them, of 65,507 bytes together.
   */
  prepareSendSegments(iovecs: Iovecs, size: number, nameLength = 0): void {
    this.#prepare(iovecs, CMSGHDR.size + align(SEGMENT_SIZE))
    if (nameLength > 0) this.#prepareName(nameLength)
    const { u32 } = this.#control
    setU64(u32, CMSGHDR.length / 4, CMSGHDR.size + SEGMENT_SIZE)
    u32[CMSGHDR.level / 4] = IPPROTO_UDP
    u32[CMSGHDR.type / 4] = UDP_SEGMENT
    u32[CMSGHDR.size / 4] = size
  }

  /** Room for bytes in `iovecs`, for the sender's name, and for as much beside it as `maxFds` descriptors take. */
  prepareReceiveFrom(iovecs: Iovecs): void {
    this.#prepare(iovecs, this.maxFds === 0 ? 0 : this.#control.length)
    this.#prepareName(NAME_SIZE)
  }

  /** How much of `name` a receive filled; 0 where the socket has no names. More than there is room for cannot be: every name fits. */
  get nameLength(): number {
    return at(this.#header.u32, MSGHDR.nameLength / 4)
  }

  /** Where in `controls` the data of the first message of this kind begins that a receive brought, or -1. */
  control(level: number, type: number): number {
    const { u32 } = this.#control
    const end = getU64(this.#header.u32, MSGHDR.controlLength / 4)
    for (let offset = 0; offset + CMSGHDR.size <= end; ) {
      const word = offset / 4
      const length = getU64(u32, word + CMSGHDR.length / 4)
      if (length < CMSGHDR.size || offset + length > end) return -1
      if (at(u32, word + CMSGHDR.level / 4) === level && at(u32, word + CMSGHDR.type / 4) === type)
        return offset + CMSGHDR.size
      offset += align(length)
    }
    return -1
  }

  /** Room for bytes in `iovecs` and for `maxFds` descriptors. */
  prepareReceive(iovecs: Iovecs): void {
    this.#prepare(iovecs, this.maxFds === 0 ? 0 : this.#control.length)
  }

  /** The MSG_* bits that a receive set. */
  get flags(): number {
    return at(this.#header.u32, MSGHDR.flags / 4)
  }

  /** Whether descriptors were lost for want of room. */
  get truncated(): boolean {
    return (this.flags & MSG_CTRUNC) !== 0
  }

  /**
   * Appends the descriptors that a receive brought to `into` and returns how many. They are the caller's now: close what is not
   * wanted. To be asked after every receive that did not fail, or descriptors leak.
   */
  takeFds(into: number[]): number {
    const { u32 } = this.#control
    const end = getU64(this.#header.u32, MSGHDR.controlLength / 4)
    let offset = 0
    let count = 0
    while (offset + CMSGHDR.size <= end) {
      const word = offset / 4
      const length = getU64(u32, word + CMSGHDR.length / 4)
      if (length < CMSGHDR.size || offset + length > end) break
      const rights =
        at(u32, word + CMSGHDR.level / 4) === SOL_SOCKET && at(u32, word + CMSGHDR.type / 4) === SCM_RIGHTS
      for (let data = CMSGHDR.size; rights && data + FD_SIZE <= length; data += FD_SIZE, count++)
        into.push(at(u32, word + data / 4) | 0)
      offset += align(length)
    }
    // So that asking twice does not close a descriptor that is by then somebody else's.
    setU64(this.#header.u32, MSGHDR.controlLength / 4, 0)
    return count
  }

  #prepareName(length: number): void {
    const { u32 } = this.#header
    setU64(u32, MSGHDR.name / 4, this.#name.address)
    setU64(u32, MSGHDR.nameLength / 4, length)
  }

  #prepare(iovecs: Iovecs, controlLength: number): void {
    const { u32 } = this.#header
    setU64(u32, MSGHDR.name / 4, 0)
    setU64(u32, MSGHDR.nameLength / 4, 0)
    setU64(u32, MSGHDR.iov / 4, iovecs.address)
    setU64(u32, MSGHDR.iovLength / 4, iovecs.count)
    setU64(u32, MSGHDR.control / 4, controlLength === 0 ? 0 : this.#control.address)
    setU64(u32, MSGHDR.controlLength / 4, controlLength)
    u32[MSGHDR.flags / 4] = 0
  }
}

function align(length: number): number {
  return Math.ceil(length / CMSGHDR.align) * CMSGHDR.align
}
