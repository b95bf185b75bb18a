/**
 * A host's socket in memory: what it sends is known beforehand, what it gets is compared with what it should be.
 *
 * @module
 */
import type { Memory, Parts } from "@skep/link"
import { EAGAIN, type HostStream, type StreamEvents } from "../../src/host/host.ts"

export interface MemoryStreamOptions {
  readonly memory: Memory
  /** What it has to say, then it ends. */
  readonly says: Uint8Array
  /** Calls later what a socket would. */
  readonly later: (callback: () => void) => void
  /** Bytes it takes before it wants `drain`; unbounded unless told. */
  readonly room?: number
  /** Whether it goes on after what it has said, until `end`. */
  readonly stays?: boolean
}

export class MemoryStream implements HostStream {
  connected = true
  readonly keptBytes = 0
  /** Told, some time after, when there is more to be read than the last look showed: the end. */
  readonly onMore: () => void
  readonly got: Uint8Array[] = []
  gotBytes = 0
  ended = false
  closed: "" | "close" | "abort" = ""
  room: number
  events: StreamEvents | undefined
  readonly #memory: Memory
  #says: Uint8Array
  #stays: boolean
  #discarded = 0

  constructor(options: MemoryStreamOptions) {
    this.#memory = options.memory
    this.#says = options.says
    this.onMore = () => options.later(() => this.events?.onReadable())
    this.room = options.room ?? Number.POSITIVE_INFINITY
    this.#stays = options.stays ?? false
  }

  /** Says more. */
  say(bytes: Uint8Array): void {
    this.#says = Buffer.concat([this.#says, bytes])
    this.onMore()
  }

  /** Has said everything. */
  end(): void {
    this.#stays = false
    this.onMore()
  }

  /** Takes `bytes` more. */
  drain(bytes: number): void {
    this.room += bytes
    this.events?.onWritable()
  }

  write(parts: Parts): number {
    if (this.room === 0) return -EAGAIN
    let written = 0
    for (let index = 0; index < parts.count && this.room > 0; index++) {
      const length = Math.min(parts.lengthAt(index), this.room)
      const bytes = new Uint8Array(length)
      this.#memory.read(parts.addressAt(index), length, bytes, 0)
      this.got.push(bytes)
      this.room -= length
      written += length
    }
    this.gotBytes += written
    return written
  }

  peek(into: Parts, offset: number): number {
    let from = this.#discarded + offset
    let done = 0
    for (let index = 0; index < into.count; index++) {
      const length = Math.min(into.lengthAt(index), this.#says.length - from)
      if (length <= 0) break
      this.#memory.write(this.#says, from, length, into.addressAt(index))
      from += length
      done += length
    }
    if (done > 0 && done < into.bytes) this.onMore()
    return done === 0 && this.#stays ? -EAGAIN : done
  }

  discard(bytes: number): void {
    this.#discarded += bytes
  }

  endWrites(): void {
    this.ended = true
  }

  close(): void {
    this.ended = true
    this.closed = "close"
  }

  abort(): void {
    this.closed = "abort"
  }
}
