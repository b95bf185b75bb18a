/**
 * A vhost-user NIC on a loop thread that answers for everybody: each ARP request and each ICMP echo request comes back as its reply.
 *
 * @module
 */
import { rmSync } from "node:fs"
import { runLoop } from "@skep/loop/worker"
import { type Chain, type Device, listenUnix, newCopy, type Queue, Server } from "@skep/vhost-user"

const VIRTIO_NET_F_MRG_RXBUF = 1n << 15n
const HEADER = 12
const FRAME_MAX = 2048
const MAC = [0x02, 0, 0, 0, 0, 1]
const [RX, TX] = [0, 1]

class ReflectingNic implements Device {
  readonly name = "net"
  readonly queueCount = 2
  readonly features = VIRTIO_NET_F_MRG_RXBUF
  replies = 0
  readonly #copy = newCopy(FRAME_MAX)
  #rx: Queue | undefined

  onStart(queue: Queue): void {
    if (queue.index === RX) this.#rx = queue
  }

  onStop(queue: Queue): void {
    if (queue.index === RX) this.#rx = undefined
  }

  onKick(queue: Queue): void {
    if (queue.index !== TX) return
    queue.drain((chain) => {
      this.#reflect(queue, chain)
      queue.give(chain.head, 0)
      return "taken"
    })
  }

  #reflect(queue: Queue, chain: Chain): void {
    const length = Math.min(chain.readableBytes, FRAME_MAX)
    const frame = this.#copy.bytes
    if (length < HEADER + 42 || !chain.readHead(queue.memory, this.#copy, length)) return
    if (!answer(frame.subarray(HEADER, length))) return
    frame.fill(0, 0, HEADER)
    frame[10] = 1 // one buffer
    const into = this.#rx?.take()
    if (into === undefined || this.#rx === undefined) return
    into.writeHead(queue.memory, this.#copy, length)
    this.#rx.give(into.head, length)
    this.replies++
  }
}

/** Makes a request into its reply, in place. The checksum of ICMP changes by the type, 8, alone. */
function answer(frame: Uint8Array): boolean {
  const type = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0)
  const asker = frame.slice(6, 12)
  frame.set(asker, 0)
  frame.set(MAC, 6)
  if (type === 0x0806 && frame[21] === 1) {
    const sender = frame.slice(22, 32)
    frame[21] = 2
    frame.set(frame.slice(38, 42), 28)
    frame.set(MAC, 22)
    frame.set(sender, 32)
    return true
  }
  if (type !== 0x0800 || frame[23] !== 1 || frame[34] !== 8) return false
  const source = frame.slice(26, 30)
  frame.set(frame.slice(30, 34), 26)
  frame.set(source, 30)
  frame[34] = 0
  const sum = ((frame[36] ?? 0) << 8) + (frame[37] ?? 0) + 0x0800
  const folded = (sum & 0xffff) + (sum >>> 16)
  frame[36] = folded >>> 8
  frame[37] = folded & 0xff
  return true
}

export interface NicCalls {
  replies(argument: undefined): number
}

runLoop<NicCalls, { readonly socket: string }>(({ loop, data: { socket } }) => {
  rmSync(socket, { force: true })
  const device = new ReflectingNic()
  const server = new Server(loop, { device, fd: listenUnix(socket) })
  loop.onDispose(() => server[Symbol.dispose]())
  return { replies: () => device.replies }
})
