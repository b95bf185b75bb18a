/**
 * A machine without a VM: the rings of a fake QEMU, and behind them the model of Linux's vsock with real bytes. Its ports are Node's streams.
 *
 * @module
 */
import { read } from "node:fs"
import type { Duplex } from "node:stream"
import { promisify } from "node:util"
import type { VsockGuest } from "@skep/contract-tests"
import { DriverRing, FrontEnd, GuestRam } from "@skep/fake-qemu"
import { check } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { connectUnix } from "@skep/vhost-user"
import { emit, HEADER } from "../../src/device/packet.ts"
import { type GuestSocket, LinuxGuest } from "../device/model/linux-guest.ts"
import { lengthOf, packetAt } from "../device/model/wire.ts"
import { GuestStream } from "./guest-stream.ts"

const RING = 128
const RX_BUFFER = 4096
const TX_BUFFER = 64 * 1024
const TX_BUFFERS = 32

export interface ModelledMachine extends VsockGuest, AsyncDisposable {
  /** What should never happen, in words. */
  readonly complaints: readonly string[]
}

/** Attaches a machine to the vhost-user socket of a back end that runs elsewhere: in another thread or process. */
export function startMachine(socket: string, cid: number): ModelledMachine {
  const ram = new GuestRam({ sizes: [1 << 20, 16 << 20] })
  const rings = [new DriverRing(ram, { size: RING }), new DriverRing(ram, { size: RING })] as const
  const qemu = new FrontEnd({ fd: check(connectUnix(socket), "connect", socket), ram })
  const guest = new RingDriver(ram, rings, cid)
  qemu.start(rings)
  guest.pump()
  const watches = rings.map((ring) => watchCalls(ring, () => guest.pump()))
  return {
    complaints: guest.model.complaints,
    listen: (port, onStream) => guest.listen(port, onStream),
    connect: (port) => guest.connect(port),
    [Symbol.asyncDispose]: async () => {
      guest.close()
      for (const watch of watches) await watch.stop()
      qemu[Symbol.dispose]()
      for (const ring of rings) ring[Symbol.dispose]()
      ram[Symbol.dispose]()
    },
  }
}

/** Calls `onCall` when the device does. A thread of Node's waits in read(2), as the vCPU waits for an interrupt. */
function watchCalls(ring: DriverRing, onCall: () => void): { stop(): Promise<void> } {
  check(sys.setNonblocking(ring.callFd, false), "fcntl")
  const readFd = promisify(read)
  const stopping = new AbortController()
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      await readFd(ring.callFd, new Uint8Array(8), 0, 8, null)
      onCall()
    }
  })()
  return {
    stop: async () => {
      stopping.abort()
      check(sys.signal(ring.callFd), "eventfd_write")
      await watching
    },
  }
}

/** The guest's driver: what the model sends goes into buffers of the tx ring, what is in those of the rx ring goes to the model. */
class RingDriver {
  readonly model: LinuxGuest
  readonly #ram: GuestRam
  readonly #rx: DriverRing
  readonly #tx: DriverRing
  readonly #rxBuffers = new Map<number, number>()
  readonly #txBuffers = new Map<number, number>()
  readonly #spare: number[] = []
  readonly #streams = new Map<GuestSocket, GuestStream>()
  readonly #listeners = new Map<number, (stream: Duplex) => void>()
  readonly #fence = new Int32Array(new SharedArrayBuffer(4))
  /** Sockets of the model that have been looked at. */
  #known = 0
  #pumping = false
  #closed = false

  constructor(ram: GuestRam, [rx, tx]: readonly [DriverRing, DriverRing], cid: number) {
    this.#ram = ram
    this.#rx = rx
    this.#tx = tx
    this.model = new LinuxGuest(
      { cid, bufferBytes: 256 * 1024, packetBytes: TX_BUFFER, capsBySelf: false, tellsWhenLow: true },
      () => performance.now(),
    )
    for (let i = 0; i < TX_BUFFERS; i++) this.#spare.push(ram.allocate(HEADER + TX_BUFFER))
    for (let i = 0; i < RING; i++) this.#offer(ram.allocate(HEADER + RX_BUFFER))
  }

  async listen(port: number, onStream: (stream: Duplex) => void): Promise<AsyncDisposable> {
    this.model.listening.add(port)
    this.#listeners.set(port, onStream)
    return {
      [Symbol.asyncDispose]: async () => {
        this.model.listening.delete(port)
        this.#listeners.delete(port)
      },
    }
  }

  connect(hostPort: number): Promise<Duplex> {
    const stream = this.#carry(this.model.connect(hostPort))
    this.pump()
    return stream.connected
  }

  close(): void {
    for (const { duplex } of this.#streams.values()) duplex.destroy()
    this.#closed = true
  }

  /** Moves everything that can be moved. What a stream does meanwhile is part of it. */
  pump(): void {
    if (this.#pumping || this.#closed) return
    this.#pumping = true
    let busy = true
    while (busy) {
      // Our wish for an interrupt has to be out before the used index is read again (Virtio 1.2, section 2.7.7.2).
      Atomics.add(this.#fence, 0, 1)
      const received = this.#receive()
      for (const [socket, stream] of this.#streams) if (stream.progress()) this.#streams.delete(socket)
      busy = this.#send() || received
    }
    this.model.onTimer()
    this.#pumping = false
  }

  #receive(): boolean {
    const used = this.#rx
      .collect()
      .map(({ head, written }) => ({ address: this.#rxBuffers.get(head) ?? 0, written }))
    // Only now: what is offered takes the heads that have just become free.
    for (const { address, written } of used) {
      this.#deliver(Buffer.from(this.#ram.bytes(address, written)))
      this.#offer(address)
    }
    if (used.length > 0) this.#rx.kick()
    return used.length > 0
  }

  #deliver(bytes: Buffer): void {
    const packet = packetAt(bytes)
    const payload = bytes.subarray(HEADER)
    const stream = this.#streamOf(packet.dstPort, packet.srcPort)
    const from = stream?.arrived ?? 0
    if (payload.length > 0) stream?.arrive(payload)
    this.model.deliver({
      packet,
      payload: payload.length === 0 ? undefined : { from, to: from + payload.length },
    })
    for (; this.#known < this.model.all.length; this.#known++) {
      const socket = this.model.all[this.#known]
      if (socket?.origin === "host") this.#listeners.get(socket.port)?.(this.#carry(socket).duplex)
    }
  }

  #send(): boolean {
    for (const { head } of this.#tx.collect()) {
      this.#spare.push(this.#txBuffers.get(head) ?? 0)
      this.#txBuffers.delete(head)
    }
    let sent = false
    while (this.#spare.length > 0 && this.model.out.length > 0) {
      const parcel = this.model.out.shift()
      const address = this.#spare.pop()
      if (parcel === undefined || address === undefined) break
      const { packet, payload } = parcel
      const length = HEADER + lengthOf(payload)
      const bytes = this.#ram.bytes(address, length)
      emit(packet, bytes, 0)
      if (payload !== undefined)
        bytes.set(this.#streamOf(packet.srcPort, packet.dstPort)?.leave(lengthOf(payload)) ?? [], HEADER)
      this.#txBuffers.set(this.#tx.offer([{ address, length }]), address)
      sent = true
    }
    if (sent) this.#tx.kick()
    return sent
  }

  #offer(address: number): void {
    const head = this.#rx.offer([{ address, length: HEADER + RX_BUFFER, writable: true }])
    this.#rxBuffers.set(head, address)
  }

  #carry(socket: GuestSocket): GuestStream {
    const stream = new GuestStream(this.model, socket, () => this.pump())
    this.#streams.set(socket, stream)
    return stream
  }

  #streamOf(port: number, hostPort: number): GuestStream | undefined {
    for (const [socket, stream] of this.#streams)
      if (socket.port === port && socket.hostPort === hostPort) return stream
    return undefined
  }
}
