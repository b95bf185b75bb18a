/**
 * The loop thread of the benchmark: our back end with the device that backend.c has, too.
 *
 * A chain without writable bytes comes straight back, up to `SMALL` bytes are copied by the processor, more go through a Unix socket.
 *
 * @module
 */
import { check } from "@skep/loop"
import { Iovecs, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { runLoop } from "@skep/loop/worker"
import { type Chain, type Device, listenUnix, newCopy, type Queue, Server } from "@skep/vhost-user"

const SMALL = 4096

class EchoDevice implements Device {
  readonly name = "bench"
  readonly queueCount = 1
  readonly features = 0n
  readonly #iovecs: Iovecs
  readonly #small = newCopy(SMALL)
  readonly #pair = new Int32Array(2)

  constructor(scratch: Scratch) {
    this.#iovecs = new Iovecs(scratch, "payload")
    check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK, this.#pair), "socketpair")
  }

  onStart(): void {
    // Nothing is kept from one ring to the next.
  }

  onStop(): void {
    // No chain is ever held back.
  }

  onKick(queue: Queue): void {
    queue.drain((chain) => {
      queue.give(chain.head, this.#serve(queue, chain))
      return "taken"
    })
  }

  /** Returns how many bytes it wrote. */
  #serve(queue: Queue, chain: Chain): number {
    const length = Math.min(chain.readableBytes, chain.writableBytes)
    if (length === 0) return 0
    if (length <= SMALL) {
      chain.readHead(queue.memory, this.#small, length)
      chain.writeHead(queue.memory, this.#small, length)
      return length
    }
    const [from = -1, to = -1] = this.#pair
    this.#fill(chain, 0, chain.readable)
    const written = check(sys.writev(to, this.#iovecs.address, this.#iovecs.count), "writev")
    this.#fill(chain, chain.readable, chain.count)
    const read = check(sys.readv(from, this.#iovecs.address, this.#iovecs.count), "readv")
    if (written !== length || read !== length) throw new Error(`${written} and ${read} of ${length} bytes`)
    return length
  }

  #fill(chain: Chain, from: number, to: number): void {
    this.#iovecs.clear()
    for (let piece = from; piece < to; piece++)
      this.#iovecs.push(chain.addressAt(piece), chain.lengthAt(piece))
  }
}

runLoop<object, { readonly socket: string }, string>(({ loop, data, notify }) => {
  const device = new EchoDevice(new Scratch(64 * 1024))
  const server = new Server(loop, {
    device,
    fd: listenUnix(data.socket),
    onBroken: (queue, why) => void notify(`queue ${queue.index}: ${why}`),
  })
  loop.onDispose(() => server[Symbol.dispose]())
  return {}
})
