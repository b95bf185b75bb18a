/**
 * Datagrams of one turn to the kernel: those of one size by one call, which cuts them apart again (udp(7), UDP_SEGMENT), as the whole way through the
 * host's stack costs a hundred times what it costs to copy a few bytes.
 *
 * ```
 *  64 │ 64 │ 64 │ 20 │ 900 │ 900 │        ─► sendmsg 64 × 3 + 20, sendmsg 900 × 2
 * ```
 *
 * @module
 */
import type { Parts } from "@skep/link"
import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"

const SCRATCH = 8 * 1024
/** UDP_MAX_SEGMENTS of linux/udp.h, in the oldest kernels that cut. */
const SEGMENTS_MAX = 64
/** A packet of these fits any network as a rule. Larger ones are for the kernel to make fragments of, which it does not of what it cuts. */
const SIZE_MAX = 1400
/** The largest payload of UDP over IPv4. */
const BYTES_MAX = 65_507

/** Shared by the sockets of a thread: nothing is kept in it between calls. */
export class DatagramTransfer implements Disposable {
  readonly #scratch = new Scratch(SCRATCH)
  readonly #iovecs = new Iovecs(this.#scratch, "datagrams", SEGMENTS_MAX)
  readonly #message = new Message(this.#scratch, "datagrams", 0)

  /**
   * Sends each piece as a datagram, to whom the socket is connected or to `name`: 0 or more, or the `-errno` of the first that failed. `cuts` is whether
   * the kernel may be asked to: see `cuts` below.
   */
  sendEach(fd: number, datagrams: Parts, cuts: boolean, name?: Uint8Array): number {
    let failure = 0
    for (let first = 0; first < datagrams.count; ) {
      const count = cuts ? runAt(datagrams, first) : 1
      const result = this.#send(fd, datagrams, first, count, name)
      if (result < 0) {
        // One by one then: either that was an error of one before, or this way is not one where the kernel cuts.
        const isOfBefore = count === 1 || !isRefusal(result)
        if (isOfBefore && (failure === 0 || failure === -sys.EAGAIN)) failure = result
        if (count > 1 && result !== -sys.EAGAIN) {
          for (let index = first; index < first + count; index++) {
            const alone = this.#send(fd, datagrams, index, 1, name)
            if (alone < 0 && failure === 0) failure = alone
          }
        }
      }
      first += count
    }
    return failure
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]()
  }

  #send(fd: number, datagrams: Parts, first: number, count: number, name: Uint8Array | undefined): number {
    const size = datagrams.lengthAt(first)
    if (count === 1 && name === undefined)
      return sys.send(fd, datagrams.addressAt(first), size, sys.MSG_DONTWAIT)
    const iovecs = this.#iovecs
    const message = this.#message
    iovecs.clear()
    for (let index = first; index < first + count; index++)
      iovecs.push(datagrams.addressAt(index), datagrams.lengthAt(index))
    if (name !== undefined) message.name.set(name)
    if (count > 1) message.prepareSendSegments(iovecs, size, name?.length)
    else message.prepareSendTo(iovecs, name?.length ?? 0)
    return sys.sendMessage(fd, message.header, sys.MSG_DONTWAIT)
  }
}

/** Whether this kernel cuts datagrams (Linux 4.18): one that does not would send them in one. */
export function cuts(fd: number): boolean {
  return sys.getOption(fd, sys.IPPROTO_UDP, sys.UDP_SEGMENT) >= 0
}

/** How many from `first` on can go together: those of its size, and one that is shorter. */
function runAt(datagrams: Parts, first: number): number {
  const size = datagrams.lengthAt(first)
  if (size === 0 || size > SIZE_MAX) return 1
  const most = Math.min(datagrams.count - first, SEGMENTS_MAX, Math.floor(BYTES_MAX / size))
  let count = 1
  while (count < most) {
    const length = datagrams.lengthAt(first + count)
    if (length === 0 || length > size) break
    count++
    if (length < size) break
  }
  return count
}

/** What says that datagrams are not cut on this way: too large for it, or through what cannot (udp_send_skb() of Linux). */
function isRefusal(result: number): boolean {
  return (
    result === -sys.EINVAL || result === -sys.EMSGSIZE || result === -sys.EIO || result === -sys.EOPNOTSUPP
  )
}
