/**
 * Frames of links written to a file as Wireshark reads it: pcapng.
 *
 * A capture never waits: blocks go to a sink, which may write them later. What it has not written yet is bounded; frames beyond that are dropped, and
 * the file says at its end how many.
 *
 * What a frame leaves to its receiver is finished in the copy: checksums are right, and a segment that is still to be cut is shown whole, as a capture on
 * any host with segmentation offload shows it.
 *
 * @module
 */
import { closeSync, openSync, writeSync } from "node:fs"
import * as pcapng from "@skep/wire/pcapng"
import { finishChecksum, headOf } from "../finish/checksum.ts"
import type { Link } from "../link.ts"
import type { Memory } from "../memory.ts"
import type { Offload } from "../offload.ts"
import type { Parts } from "../parts.ts"
import { ObservedLink, type Observer } from "./observed.ts"

const BUFFER = 256 * 1024
const NS_PER_MS = 1e6
const OWNER_ONLY = 0o600

export interface CaptureOptions {
  /** Bytes after which nothing more is written; 1 GiB unless told. */
  readonly maxBytes?: number
  /** Bytes kept of each frame; all unless told. */
  readonly snapLength?: number
  /** Nanoseconds since 1970. Those of the system unless told. */
  readonly now?: () => bigint
  /** Bytes that may wait to be written, where the sink says by `written` what was. Frames beyond it are dropped. No bound unless told. */
  readonly maxUnwritten?: number
  /** It has ended by itself: no room is left in the file, or it cannot be written any more. Without it the error of writing is thrown. */
  readonly onEnd?: (reason: string) => void
}

/** Where whole blocks are written to, in a buffer of their own. False where it cannot take them now: they are offered again. */
export type Sink = (bytes: Uint8Array<ArrayBuffer>) => boolean

/** What was seen of a link. */
interface Seen {
  received: number
  dropped: number
}

/** A capture of any number of links. */
export class Capture implements Disposable {
  readonly #sink: Sink
  readonly #close: () => void
  readonly #maxBytes: number
  readonly #snapLength: number
  readonly #now: () => bigint
  readonly #onEnd: ((reason: string) => void) | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #bytes = 0
  readonly #maxUnwritten: number
  /** Given to the sink, and not written yet. */
  #unwritten = 0
  /** By the number of their interfaces. */
  readonly #seen: Seen[] = []
  #frames = 0
  #dropped = 0
  #closed = false
  /** Frames that came after its end. */
  missed = 0

  /** Writes blocks of a pcapng section to `sink`; `close` is called at the end. */
  constructor(sink: Sink, options: CaptureOptions = {}, close: () => void = () => undefined) {
    this.#sink = sink
    this.#close = close
    this.#maxBytes = options.maxBytes ?? 2 ** 30
    this.#snapLength = options.snapLength ?? 0
    this.#now = options.now ?? systemNow
    this.#onEnd = options.onEnd
    this.#maxUnwritten = options.maxUnwritten ?? Number.POSITIVE_INFINITY
    this.#write(pcapng.section({ application: "skep" }))
  }

  /** Frames that were written, or wait to be. */
  get frames(): number {
    return this.#frames
  }

  /** Bytes of the file, those that wait among them. */
  get bytes(): number {
    return this.#bytes
  }

  /** Frames that are not in the file, since it was not written fast enough. */
  get dropped(): number {
    return this.#dropped
  }

  /** The sink has written so many bytes. */
  written(bytes: number): void {
    this.#unwritten = Math.max(0, this.#unwritten - bytes)
  }

  /** What the sink took cannot be written: it is over. */
  fail(reason: string): void {
    if (this.#end()) this.#onEnd?.(reason)
  }

  /** Captures a link, which was not started: use the result in its place. */
  wrap(link: Link): Link {
    return new ObservedLink(link, this.observer(link.name))
  }

  /** An interface of the capture, for who sees the frames of the link of that name. */
  observer(name: string): Observer {
    const seen = { received: 0, dropped: 0 }
    const number = this.#seen.push(seen) - 1
    this.#write(pcapng.describeInterface({ name, snapLength: this.#snapLength }))
    return {
      onIncoming: (frame, memory) => {
        if (!this.#takes(seen, frame.length)) return
        const bytes = new Uint8Array(frame.length)
        gather(frame.parts, memory, bytes, 0)
        this.#packet(number, "in", bytes, frame.offload)
      },
      onOutgoing: ({ headers, at, length, payload, offload }, memory) => {
        if (!this.#takes(seen, length + payload.bytes)) return
        const bytes = new Uint8Array(length + payload.bytes)
        bytes.set(headers.subarray(at, at + length))
        gather(payload, memory, bytes, length)
        this.#packet(number, "out", bytes, offload)
      },
    }
  }

  /** Writes what waits. */
  flush(): void {
    if (this.#waitingBytes === 0 || this.#closed) return
    // Not Buffer.concat, whose bytes may be a part of others' memory: the sink may give its buffer away.
    const bytes = new Uint8Array(this.#waitingBytes)
    let at = 0
    for (const block of this.#waiting) {
      bytes.set(block, at)
      at += block.length
    }
    const { length } = bytes
    try {
      if (!this.#sink(bytes)) return
      this.#unwritten += length
      this.#waiting = []
      this.#waitingBytes = 0
    } catch (error) {
      this.#closed = true
      this.#close()
      if (this.#onEnd === undefined) throw error
      this.#onEnd(error instanceof Error ? error.message : String(error))
    }
  }

  /** Writes the rest, what became of each link's frames, and closes the file. The links go on. Idempotent. */
  [Symbol.dispose](): void {
    this.#finish()
  }

  /** Whether there is room for a frame, which is counted. */
  #takes(seen: Seen, length: number): boolean {
    if (this.#closed) {
      this.missed++
      return false
    }
    seen.received++
    if (this.#unwritten + this.#waitingBytes + length <= this.#maxUnwritten) return true
    seen.dropped++
    this.#dropped++
    return false
  }

  #packet(number: number, direction: "in" | "out", bytes: Uint8Array, offload: Readonly<Offload>): void {
    if (offload.checksumStart !== 0 && headOf(offload) <= bytes.length)
      finishChecksum(bytes, 0, bytes.length, 0, offload)
    const end = this.#snapLength === 0 ? bytes.length : Math.min(bytes.length, this.#snapLength)
    const fields = {
      interface: number,
      timeNanoseconds: this.#now(),
      originalLength: bytes.length,
      direction,
    }
    if (this.#write(pcapng.packet(fields, bytes, 0, end))) this.#frames++
    else this.missed++
  }

  /** Returns false where the block does not fit any more: the capture is over then. */
  #write(block: Uint8Array): boolean {
    if (this.#closed) return false
    if (this.#bytes + block.length + this.#seen.length * pcapng.STATISTICS_SIZE > this.#maxBytes) {
      if (this.#finish()) this.#onEnd?.("the file is as long as it may be")
      return false
    }
    this.#push(block)
    if (this.#waitingBytes >= BUFFER) this.flush()
    return true
  }

  #push(block: Uint8Array): void {
    this.#waiting.push(block)
    this.#waitingBytes += block.length
    this.#bytes += block.length
  }

  /** Returns false where it had ended, or could not be written. */
  #finish(): boolean {
    if (this.#closed) return false
    const timeNanoseconds = this.#now()
    for (const [number, seen] of this.#seen.entries()) {
      const block = pcapng.statistics({ interface: number, timeNanoseconds, ...seen })
      if (this.#bytes + block.length <= this.#maxBytes) this.#push(block)
    }
    this.flush()
    return this.#end()
  }

  /** Returns false where it had ended. */
  #end(): boolean {
    if (this.#closed) return false
    this.#closed = true
    this.#close()
    return true
  }
}

/** Captures to a file that only its owner can read, in place of what is there. Throws the error of Node's `openSync`. */
export function captureFile(path: string, options: CaptureOptions = {}): Capture {
  const fd = openSync(path, "w", OWNER_ONLY)
  const sink = (bytes: Uint8Array): boolean => {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
    return true
  }
  return new Capture(sink, options, () => closeSync(fd))
}

function gather(parts: Parts, memory: Memory, into: Uint8Array, at: number): void {
  let done = at
  for (let index = 0; index < parts.count; index++) {
    memory.read(parts.addressAt(index), parts.lengthAt(index), into, done)
    done += parts.lengthAt(index)
  }
}

function systemNow(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * NS_PER_MS))
}
