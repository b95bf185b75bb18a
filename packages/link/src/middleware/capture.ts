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
import { ObservedLink } from "./observed.ts"

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
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #bytes = 0
  #interfaces = 0
  #closed = false
  /** Frames that were not written, for want of room in the file. */
  missed = 0

  /** Writes blocks of a pcapng section to `sink`; `close` is called at the end. */
  constructor(sink: Sink, options: CaptureOptions = {}, close: () => void = () => undefined) {
    this.#sink = sink
    this.#close = close
    this.#maxBytes = options.maxBytes ?? 2 ** 30
    this.#snapLength = options.snapLength ?? 0
    this.#now = options.now ?? systemNow
    this.#write(pcapng.section({ application: "skep" }))
  }

  /** Captures a link, which was not started: use the result in its place. */
  wrap(link: Link): Link {
    const name = link.name
    const number = this.#interfaces++
    this.#write(pcapng.describeInterface({ name, snapLength: this.#snapLength }))
    return new ObservedLink(link, {
      onIncoming: (frame, memory) => {
        const bytes = new Uint8Array(frame.length)
        gather(frame.parts, memory, bytes, 0)
        this.#packet(number, "in", bytes, frame.offload)
      },
      onOutgoing: ({ headers, at, length, payload, offload }, memory) => {
        const bytes = new Uint8Array(length + payload.bytes)
        bytes.set(headers.subarray(at, at + length))
        gather(payload, memory, bytes, length)
        this.#packet(number, "out", bytes, offload)
      },
    })
  }

  /** Writes what waits. */
  flush(): void {
    const blocks = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    if (blocks.length > 0) this.#sink(Buffer.concat(blocks))
  }

  /** Writes the rest and closes the file. The links go on. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#closed) return
    this.flush()
    this.#closed = true
    this.#close()
  }

  #packet(number: number, direction: "in" | "out", bytes: Uint8Array, offload: Readonly<Offload>): void {
    if (this.#closed || this.#bytes >= this.#maxBytes) {
      this.missed++
      return
    }
    if (offload.checksumStart !== 0 && headOf(offload) <= bytes.length)
      finishChecksum(bytes, 0, bytes.length, 0, offload)
    const end = this.#snapLength === 0 ? bytes.length : Math.min(bytes.length, this.#snapLength)
    const fields = {
      interface: number,
      timeNanoseconds: this.#now(),
      originalLength: bytes.length,
      direction,
    }
    this.#write(pcapng.packet(fields, bytes, 0, end))
  }

  #write(block: Uint8Array): void {
    this.#waiting.push(block)
    this.#waitingBytes += block.length
    this.#bytes += block.length
    if (this.#waitingBytes >= BUFFER) this.flush()
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
