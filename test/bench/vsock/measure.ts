/**
 * What is measured of each way to the guest: throughput, round trips, connects, many streams, processor time.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import type { Socket } from "node:net"
import { setTimeout as delay } from "node:timers/promises"
import { check } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { median } from "../row.ts"
import { processCpu, threadCpu } from "./cpu.ts"
import { type BenchGuest, GREETED, KERNEL_PORT, type Service, type Way } from "./guest.ts"

const MIB = 2 ** 20
const GIB = 2 ** 30
/** Until the buffers on the way are full, or empty: then what passes here passes at the guest, too. */
const WARM_MS = 600
const RUN_MS = 1500
const ZEROS = Buffer.alloc(262_144)
const PATIENCE_MS = 30_000

export interface Throughput {
  readonly mibPerSecond: number
  /** Processor seconds of the way's own back end for a GiB. */
  readonly cpuPerGib: number
}

/** Bytes from the guest's source of zeros, or into its sink, over one connection. */
export async function throughput(
  guest: BenchGuest,
  way: Way,
  direction: "from guest" | "to guest",
): Promise<Throughput> {
  const socket = await guest.open(way, direction === "from guest" ? "source" : "sink")
  let bytes = 0
  const count = (part: number): void => {
    bytes += part
  }
  let pouring = direction === "to guest"
  if (pouring) pour(socket, (written) => (count(written), pouring))
  else socket.on("data", (chunk: Buffer) => count(chunk.length)).resume()
  try {
    await delay(WARM_MS)
    const began = { at: performance.now(), bytes, cpu: backendCpu(guest, way) }
    await delay(RUN_MS)
    const [seconds, moved] = [(performance.now() - began.at) / 1000, bytes - began.bytes]
    if (moved === 0) throw new Error(`nothing came through in ${RUN_MS} ms, ${direction} over ${way}`)
    return {
      mibPerSecond: moved / MIB / seconds,
      cpuPerGib: ((backendCpu(guest, way) - began.cpu) * GIB) / moved,
    }
  } finally {
    pouring = false
    guest.release(way, socket)
  }
}

/** Writes as long as `written` says so. */
function pour(socket: Socket, written: (bytes: number) => boolean): void {
  socket.write(ZEROS, (error) => {
    if (error == null && written(ZEROS.length)) pour(socket, written)
  })
}

/** The sidecar as a whole; for the ways of QEMU its first thread, where its devices and its user network run. */
function backendCpu(guest: BenchGuest, way: Way): number {
  return way === "vsock" ? processCpu(guest.sidecarPid) : threadCpu(guest.qemuPid, guest.qemuPid)
}

/** An open connection to the guest's echo. */
export class Echo implements Disposable {
  readonly #client = new Client()

  /** Returns when a first byte was there and back. */
  constructor(guest: BenchGuest, way: Way) {
    this.#client.open(guest, way, "echo")
    this.#trip(1)
  }

  /** Milliseconds until `size` bytes are back: the median of `count` round trips. */
  roundTrip(size: number, count: number): number {
    return median(Array.from({ length: count }, () => this.#trip(size)))
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
  }

  #trip(size: number): number {
    const began = performance.now()
    this.#client.send(size)
    for (let got = 0; got < size; ) got += this.#client.receive(size - got)
    return performance.now() - began
  }
}

/** Milliseconds from `connect` until the guest's kernel has accepted, as Firecracker's dialect tells: the median of `count`. */
export function connectTime(guest: BenchGuest, count: number): number {
  using first = new Client()
  first.open(guest, "vsock", KERNEL_PORT)
  const samples: number[] = []
  for (let i = 0; i < count; i++) {
    using client = new Client()
    const began = performance.now()
    client.open(guest, "vsock", KERNEL_PORT)
    samples.push(performance.now() - began)
  }
  return median(samples)
}

/** A connection whose thread waits for it in the kernel: what it measures is not the scheduling of promises. */
class Client implements Disposable {
  readonly #scratch = new Scratch(4096)
  readonly #buffer = this.#scratch.region("buffer", 1024)
  readonly #event = this.#scratch.region("event", 16)
  readonly #epoll = check(sys.epollCreate(), "epoll_create1")
  #fd = -1

  open(guest: BenchGuest, way: Way, service: Service | number): void {
    const address = guest.address(way, typeof service === "number" ? "echo" : service)
    const family = address.family === "unix" ? sys.AF_UNIX : sys.AF_INET
    this.#fd = check(sys.socket(family, sys.SOCK_STREAM), "socket")
    check(sys.connect(this.#fd, address), "connect")
    if (family === sys.AF_INET)
      check(sys.setOption(this.#fd, sys.IPPROTO_TCP, sys.TCP_NODELAY, 1), "setsockopt")
    this.#event.u32[0] = sys.EPOLLIN
    check(sys.epollControl(this.#epoll, sys.EPOLL_CTL_ADD, this.#fd, this.#event.address), "epoll_ctl")
    const greeting = guest.greeting(way, service)
    if (greeting !== "") this.#greet(greeting)
  }

  /** Whatever is in the buffer. */
  send(size: number): void {
    const sent = check(sys.send(this.#fd, this.#buffer.address, size), "send")
    if (sent !== size) throw new Error(`${sent} of ${size} bytes were taken`)
  }

  /** Waits for bytes, and returns how many came; at most `size`. */
  receive(size: number): number {
    const events = check(sys.epollWait(this.#epoll, this.#event.address, 1, PATIENCE_MS), "epoll_wait")
    if (events === 0) throw new Error(`the guest said nothing for ${PATIENCE_MS / 1000} s`)
    const got = check(sys.receive(this.#fd, this.#buffer.address, size, sys.MSG_DONTWAIT), "recv")
    if (got === 0) throw new Error("the guest hung up")
    return got
  }

  [Symbol.dispose](): void {
    for (const fd of [this.#epoll, this.#fd]) if (fd >= 0) sys.close(fd)
    this.#scratch[Symbol.dispose]()
  }

  #greet(greeting: string): void {
    this.#buffer.bytes.set(Buffer.from(greeting))
    this.send(greeting.length)
    let line = ""
    while (!line.endsWith("\n")) {
      this.receive(1)
      line += String.fromCharCode(this.#buffer.bytes[0] ?? 0)
    }
    if (!GREETED.test(line)) throw new Error(`the guest's port refused: ${JSON.stringify(line)}`)
  }
}

export interface Crowd {
  /** How many streams brought back every byte. */
  readonly whole: number
  /** The time of the slowest of them, in medians of all. */
  readonly slowest: number
  /** Why the others did not. */
  readonly failures: readonly string[]
}

/** `streams` at once, each sends `bytes` of its own through the guest's echo. */
export async function crowd(guest: BenchGuest, streams: number, bytes: number): Promise<Crowd> {
  const outcomes = await Promise.allSettled(Array.from({ length: streams }, () => echoed(guest, bytes)))
  const times = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []))
  const failures = outcomes.flatMap((outcome) =>
    outcome.status === "rejected" ? [String(outcome.reason)] : [],
  )
  return { whole: times.length, slowest: Math.max(...times) / median(times), failures }
}

/** Milliseconds until all bytes are back; rejects where they are others. */
async function echoed(guest: BenchGuest, bytes: number): Promise<number> {
  const data = randomBytes(bytes)
  const began = performance.now()
  const socket = await guest.open("vsock", "echo")
  socket.setTimeout(PATIENCE_MS, () => socket.destroy())
  try {
    socket.end(data)
    const hash = createHash("sha256")
    let length = 0
    for await (const chunk of socket) {
      hash.update(chunk as Buffer)
      length += (chunk as Buffer).length
    }
    if (length !== bytes) throw new Error(`${length} of ${bytes} bytes came back`)
    if (hash.digest("hex") !== createHash("sha256").update(data).digest("hex"))
      throw new Error("other bytes came back")
    return performance.now() - began
  } finally {
    socket.destroy()
  }
}

/** Processor seconds of the sidecar while `streams` that were used are open and say nothing for `seconds`. */
export async function idleCpu(guest: BenchGuest, streams: number, seconds: number): Promise<number> {
  const sockets = await Promise.all(Array.from({ length: streams }, () => guest.open("vsock", "echo")))
  try {
    await Promise.all(
      sockets.map(async (socket) => {
        socket.write("word")
        await once(socket, "data")
      }),
    )
    await delay(1000)
    const before = processCpu(guest.sidecarPid)
    await delay(seconds * 1000)
    return processCpu(guest.sidecarPid) - before
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}
