/**
 * The core's side of a stream: bytes to write, bytes that were peeked at, and what was told.
 *
 * @module
 */
import { Parts } from "@skep/link"
import { host } from "../../src/index.ts"
import type { Driver } from "./driver.ts"

const LOOPBACK = Uint8Array.of(127, 0, 0, 1)

export function loopback(port: number): host.Endpoint {
  return { address: LOOPBACK, port }
}

/** Bytes that tell where they come from. */
export function pattern(start: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let index = 0; index < length; index++) bytes[index] = (start + index) * 131 + ((start + index) >>> 9)
  return bytes
}

export class Flow implements host.StreamEvents {
  connected = 0
  failed = 0
  readable = 0
  writable = 0
  stream: host.HostStream | undefined
  /** All that was discarded, in order. */
  readonly taken: Buffer[] = []
  takenBytes = 0
  readonly #driver: Driver
  readonly #into = new Parts()

  constructor(driver: Driver) {
    this.#driver = driver
  }

  onConnected(): void {
    this.connected++
  }

  onFailed(errno: number): void {
    this.failed = errno
  }

  onReadable(): void {
    this.readable++
  }

  onWritable(): void {
    this.writable++
  }

  onFault(error: unknown): void {
    throw error
  }

  /** Connects and waits for what becomes of it: 0, or the positive error number. */
  async connect(to: host.Endpoint | host.LocalEndpoint): Promise<number> {
    const stream = this.#driver.streams.connect(to, this)
    if (typeof stream === "number") return -stream
    this.stream = stream
    await this.#driver.until(() => stream.connected || this.failed !== 0)
    return this.failed
  }

  /** Writes in pieces, as the payload of frames is. */
  write(bytes: Uint8Array): number {
    const { memory } = this.#driver
    const at = memory.arena.scratch
    const parts = new Parts()
    memory.bytes.set(bytes, at)
    for (let done = 0; done < bytes.length; done += 1460)
      parts.push(memory.base + at + done, Math.min(1460, bytes.length - done))
    const written = this.stream?.write(parts) ?? 0
    // The frames are somebody else's now.
    memory.bytes.fill(0xee, at, at + bytes.length)
    return written
  }

  /** What is `offset` bytes after the last discard, or what was said instead. */
  peek(offset: number, lengths: readonly number[] = [4000, 1, 4095]): Buffer | number {
    const { memory } = this.#driver
    const start = memory.arena.scratch
    this.#into.clear()
    let at = start
    for (const length of lengths) {
      this.#into.push(memory.base + at, length)
      at += length
    }
    const read = this.stream?.peek(this.#into, offset) ?? 0
    return read > 0 ? Buffer.from(memory.bytes.subarray(start, start + read)) : read
  }

  /** Takes what is there, as a guest that acknowledges at once. Returns what ended it: 0 or `-errno`. */
  take(): number {
    for (;;) {
      const got = this.peek(0, [16_384, 16_384])
      if (typeof got === "number") return got
      this.taken.push(got)
      this.takenBytes += got.length
      this.stream?.discard(got.length)
    }
  }

  /** Takes all until the stream ends. */
  async takeAll(): Promise<number> {
    let end = this.take()
    await this.#driver.until(() => {
      if (end === -host.EAGAIN) end = this.take()
      return end !== -host.EAGAIN
    })
    return end
  }
}
