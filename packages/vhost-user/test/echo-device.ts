/**
 * A device that copies what it may read into what it may write, through a pipe: the kernel moves the bytes between guest addresses.
 *
 * @module
 */
import { check } from "@skep/loop"
import { Iovecs, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { type Chain, type Device, features, type Queue } from "../src/index.ts"

export class EchoDevice implements Device, Disposable {
  readonly name = "echo"
  readonly queueCount: number
  readonly features = features.VIRTIO_F_IN_ORDER
  readonly config: Uint8Array = Uint8Array.of(1, 2, 3, 4)
  /** What the back end told it, in order: "start 0", "stop 0". */
  readonly told: string[] = []
  /** Chains it has and holds back. */
  readonly held: { readonly queue: Queue; readonly head: number; readonly written: number }[] = []
  hold = false
  readonly #scratch = new Scratch(64 * 1024)
  readonly #iovecs = new Iovecs(this.#scratch, "iovecs")
  readonly #pipe = new Int32Array(2)

  constructor(queueCount = 1) {
    this.queueCount = queueCount
    check(sys.pipe(this.#pipe), "pipe2")
  }

  onStart(queue: Queue): void {
    this.told.push(`start ${queue.index}`)
  }

  onStop(queue: Queue): void {
    this.told.push(`stop ${queue.index}`)
    this.held.length = 0
  }

  onKick(queue: Queue): void {
    queue.drain((chain) => {
      const written = this.#copy(chain)
      if (this.hold) this.held.push({ queue, head: chain.head, written })
      else queue.give(chain.head, written)
      return "taken"
    })
  }

  /** Gives back what was held, the newest first if told so. */
  letGo(reverse = false): void {
    const held = this.held.splice(0)
    for (const { queue, head, written } of reverse ? held.toReversed() : held) queue.give(head, written)
  }

  [Symbol.dispose](): void {
    for (const fd of this.#pipe) sys.close(fd)
    this.#scratch[Symbol.dispose]()
  }

  #copy(chain: Chain): number {
    const [reader, writer] = [this.#pipe[0] ?? -1, this.#pipe[1] ?? -1]
    const length = Math.min(chain.readableBytes, chain.writableBytes)
    if (length === 0) return 0
    this.#fill(chain, 0, chain.readable, length)
    check(sys.writev(writer, this.#iovecs.address, this.#iovecs.count), "writev")
    this.#fill(chain, chain.readable, chain.count, length)
    return check(sys.readv(reader, this.#iovecs.address, this.#iovecs.count), "readv")
  }

  #fill(chain: Chain, from: number, to: number, bytes: number): void {
    this.#iovecs.clear()
    let left = bytes
    for (let piece = from; piece < to && left > 0; piece++) {
      const length = Math.min(left, chain.lengthAt(piece))
      if (length > 0) this.#iovecs.push(chain.addressAt(piece), length)
      left -= length
    }
  }
}
