/**
 * Frames of links written to a file as Wireshark reads it: pcapng.
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
  /** It has ended by itself: no room is left in the file, or it cannot be written any more. Without it the error of writing is thrown. */
  readonly onEnd?: (reason: string) => void
}

/** Where frames are written to. */
export type Sink = (bytes: Uint8Array) => void

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
  #interfaces = 0
  #frames = 0
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

  /** Captures a link, which was not started: use the result in its place. */
  wrap(link: Link): Link {
    return new ObservedLink(link, this.observer(link.name))
  }

  /** An interface of the capture, for who sees the frames of the link of that name. */
  observer(name: string): Observer {
    const number = this.#interfaces++
    this.#write(pcapng.describeInterface({ name, snapLength: this.#snapLength }))
    return {
      onIncoming: (frame, memory) => {
        if (this.#over()) return
        const bytes = new Uint8Array(frame.length)
        gather(frame.parts, memory, bytes, 0)
        this.#packet(number, "in", bytes, frame.offload)
      },
      onOutgoing: ({ headers, at, length, payload, offload }, memory) => {
        if (this.#over()) return
        const bytes = new Uint8Array(length + payload.bytes)
        bytes.set(headers.subarray(at, at + length))
        gather(payload, memory, bytes, length)
        this.#packet(number, "out", bytes, offload)
      },
    }
  }

  /** Writes what waits. */
  flush(): void {
    const blocks = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    if (blocks.length === 0 || this.#closed) return
    try {
      this.#sink(Buffer.concat(blocks))
    } catch (error) {
      this.#closed = true
      this.#close()
      if (this.#onEnd === undefined) throw error
      this.#onEnd(error instanceof Error ? error.message : String(error))
    }
  }

  /** Writes the rest and closes the file. The links go on. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#closed) return
    this.flush()
    this.#end()
  }

  #over(): boolean {
    if (this.#closed) this.missed++
    return this.#closed
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
    if (this.#bytes + block.length > this.#maxBytes) {
      this.flush()
      if (this.#end()) this.#onEnd?.("the file is as long as it may be")
      return false
    }
    this.#waiting.push(block)
    this.#waitingBytes += block.length
    this.#bytes += block.length
    if (this.#waitingBytes >= BUFFER) this.flush()
    return true
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
  const sink = (bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
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
