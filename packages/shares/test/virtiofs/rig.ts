/**
 * A virtiofs device and a guest's driver on one thread: a channel for `FuseClient` whose messages go through queues in a guest's memory.
 *
 * @module
 */
import { DriverRing, FrontEnd, GuestRam } from "@skep/fake-qemu"
import { type Answered, type Channel, FuseClient, newViews, REQUEST_MAX, type Room } from "@skep/fuse/driver"
import { check, Loop } from "@skep/loop"
import type { Views } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Pieces } from "@skep/vfs"
import { Connection } from "@skep/vhost-user"
import { type VirtiofsDevice, type VirtiofsOptions, virtiofsDevice } from "../../src/virtiofs/index.ts"

const ROOM = 2 << 20
const OUT_HEADER = 16
const STEPS = 4

interface Sent {
  readonly room: Room
  readonly answered: Answered
  readonly answerAt: number
  readonly targetAt: number
}

/** The guest's memory, its rings, and its driver: outlives back ends. */
export class FakeGuest implements Channel, Disposable {
  readonly request: Views = newViews(REQUEST_MAX)
  readonly ram: GuestRam
  readonly rings: readonly DriverRing[]
  /** How the pieces of a message are cut, as different kernels do. */
  cut = 4096
  /** Lets the back end work. */
  turn: () => void = () => undefined
  readonly #sent = new Map<number, Sent>()
  readonly #buffer: number
  #next = 0

  constructor(queues = 2) {
    this.ram = new GuestRam({ sizes: [1 << 20, 64 << 20] })
    this.rings = Array.from({ length: queues }, () => new DriverRing(this.ram, { size: 1024 }))
    this.#buffer = this.ram.allocate(56 << 20, 1)
  }

  get pending(): number {
    return this.#sent.size
  }

  /** FORGET and INTERRUPT go by the first queue, as in Linux. */
  send(end: number, room: Room, answered: Answered): void {
    const queue = room.writable === 0 ? 0 : 1
    const ring = this.rings[queue]
    if (ring === undefined) throw new Error("there is no such queue")
    const at = this.#take(end)
    this.ram.bytes(at, end).set(this.request.bytes.subarray(0, end))
    const data = room.data?.bytes ?? 0
    const dataAt = this.#take(data)
    if (room.data !== undefined && data > 0) this.ram.bytes(dataAt, data).set(gather(room.data))
    const inline = room.target === undefined ? room.writable : Math.min(OUT_HEADER, room.writable)
    const answerAt = this.#take(inline)
    const targetAt = this.#take(room.writable - inline)
    const head = ring.offer([
      ...this.#cut(at, Math.min(end, 40), false),
      ...this.#cut(at + 40, end - 40, false),
      ...this.#cut(dataAt, data, false),
      ...this.#cut(answerAt, inline, true),
      ...this.#cut(targetAt, room.writable - inline, true),
    ])
    if (head < 0) throw new Error("the ring is full")
    this.#sent.set(queue * 1024 + head, { room, answered, answerAt, targetAt })
    ring.kickAnyway()
    this.turn()
    this.collect()
  }

  /** Takes the answers that are there. */
  collect(): void {
    for (const [queue, ring] of this.rings.entries())
      for (const { head, written } of ring.collect()) {
        const key = queue * 1024 + head
        const sent = this.#sent.get(key)
        if (sent === undefined) throw new Error(`chain ${head} of queue ${queue} came back twice`)
        this.#sent.delete(key)
        this.#answer(sent, written)
      }
  }

  [Symbol.dispose](): void {
    for (const ring of this.rings) ring[Symbol.dispose]()
    this.ram[Symbol.dispose]()
  }

  #answer({ room, answered, answerAt, targetAt }: Sent, written: number): void {
    const answer = newViews(Math.max(written, OUT_HEADER))
    const inline = room.target === undefined ? written : Math.min(written, OUT_HEADER)
    answer.bytes.set(this.ram.bytes(answerAt, inline))
    const rest = written - inline
    if (room.target !== undefined && rest > 0) scatter(this.ram.bytes(targetAt, rest), room.target)
    answered(answer, written)
  }

  /** Memory for a message; what was given out long ago is given out again. */
  #take(bytes: number): number {
    const length = Math.ceil(bytes / 8) * 8
    if (this.#next + length > 56 << 20) this.#next = 0
    const at = this.#buffer + this.#next
    this.#next += length
    if (length > ROOM) throw new RangeError("the message is too long for this guest")
    return at
  }

  #cut(at: number, bytes: number, writable: boolean) {
    const count = Math.ceil(Math.max(bytes, 0) / this.cut)
    return Array.from({ length: count }, (_, i) => ({
      address: at + i * this.cut,
      length: Math.min(this.cut, bytes - i * this.cut),
      writable,
    }))
  }
}

export interface Served extends Disposable {
  readonly device: VirtiofsDevice
  readonly loop: Loop
  readonly front: FrontEnd
  readonly connection: Connection
  readonly events: string[]
  settle(): void
}

/** Connects a device to a guest, which has a driver already where `bases` are told. */
export function serve(
  guest: FakeGuest,
  options: Omit<VirtiofsOptions, "scope">,
  bases: readonly number[] = [],
): Served {
  const loop = new Loop()
  const device = virtiofsDevice({ ...options, scope: loop.scope("virtiofs") })
  const pair = new Int32Array(2)
  check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, pair), "socketpair")
  const events: string[] = []
  const connection = new Connection({
    fd: pair[0] ?? -1,
    device,
    scope: loop.root,
    onEnd: (reason) => events.push(reason),
    onBroken: (queue, why) => events.push(`queue ${queue.index}: ${why}`),
  })
  const settle = (): void => {
    for (let step = 0; step < STEPS; step++) loop.step()
  }
  const front = new FrontEnd({ fd: pair[1] ?? -1, ram: guest.ram, turn: settle })
  front.start(guest.rings, { bases })
  guest.turn = settle
  return {
    device,
    loop,
    front,
    connection,
    events,
    settle,
    [Symbol.dispose]: () => {
      front[Symbol.dispose]()
      connection[Symbol.dispose]()
      loop[Symbol.dispose]()
    },
  }
}

/** A guest that has mounted. */
export function mounted(guest: FakeGuest): FuseClient {
  const client = new FuseClient({ channel: guest })
  client.init()
  return client
}

export function usedIndices(guest: FakeGuest): readonly number[] {
  return guest.rings.map(({ used }) => guest.ram.view(used, 4).getUint16(2, true))
}

function gather(pieces: Pieces): Uint8Array {
  const all = new Uint8Array(pieces.bytes)
  let done = 0
  for (const { address, length } of iovecs(pieces)) {
    sys.copyFromMemory(all.subarray(done, done + length), address)
    done += length
  }
  return all
}

function scatter(from: Uint8Array, pieces: Pieces): void {
  let done = 0
  for (const { address, length } of iovecs(pieces)) {
    const part = Math.min(length, from.length - done)
    if (part > 0) sys.copyToMemory(address, from.subarray(done, done + part))
    done += part
  }
}

function iovecs({ address, count }: Pieces) {
  const words = new BigUint64Array(2 * Math.max(count, 1))
  if (count > 0) sys.copyFromMemory(new Uint8Array(words.buffer, 0, 16 * count), address)
  return Array.from({ length: count }, (_, i) => ({
    address: Number(words[2 * i]),
    length: Number(words[2 * i + 1]),
  }))
}
