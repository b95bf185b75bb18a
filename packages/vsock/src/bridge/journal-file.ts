/**
 * The journal of a device as a file of fixed places, which outlives the process however that ends:
 *
 *     magic u32 | version u32 | guest's cid u32 | 0 u32 | { guest's port + 1 u32, host's port u32 } …       little-endian
 *
 * A place with a 0 is free. What is written is in the kernel's cache and survives SIGKILL; nothing here is for a crash of the host, which no
 * guest survives either. Eight bytes are written for a stream that begins, eight for one that ends.
 *
 * @module
 */
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import type { Journal, Pair } from "../device/journal.ts"
import { PORT_MAX } from "../device/packet.ts"
import { Pairs } from "../device/pairs.ts"

const MAGIC = 0x6b656570
const VERSION = 1
const HEAD = 16
const PLACE = 8
/** More than any device has streams: what is longer is no journal. */
const BYTES_MAX = HEAD + PLACE * (1 << 18)

export interface JournalFileOptions {
  readonly path: string
  readonly guestCid: number
  /** Streams at a time; there are as many places again for those that ended and were not told yet. */
  readonly maxStreams: number
}

export class JournalFile implements Journal, Disposable {
  readonly left: readonly Pair[]
  readonly #path: string
  readonly #fd: number
  readonly #free: number[]
  /** Where each pair is. */
  readonly #places: Pairs<number> = new Pairs()
  readonly #closing: Pairs<Pair> = new Pairs()
  readonly #place = Buffer.alloc(PLACE)

  /** Takes over what lies at `path`, if it is of the same guest. Throws the error of a file that cannot be written. */
  constructor({ path, guestCid, maxStreams }: JournalFileOptions) {
    this.#path = path
    this.left = readJournal(path, guestCid)
    const places = Math.max(2 * maxStreams, this.left.length + maxStreams)
    const bytes = Buffer.alloc(HEAD + PLACE * places)
    for (const [index, word] of [MAGIC, VERSION, guestCid].entries()) bytes.writeUInt32LE(word, 4 * index)
    for (const [place, pair] of this.left.entries()) {
      emitPlace(pair, bytes, HEAD + PLACE * place)
      this.#places.set(pair.guestPort, pair.hostPort, place)
    }
    this.#free = Array.from({ length: places - this.left.length }, (_, index) => places - 1 - index)
    // Whole before it has the name: whoever dies here leaves the old one.
    const next = `${path}.new`
    writeFileSync(next, bytes, { mode: 0o600 })
    this.#fd = openSync(next, "r+")
    renameSync(next, path)
  }

  open(pair: Pair): void {
    this.#closing.delete(pair.guestPort, pair.hostPort)
    if (this.#places.get(pair.guestPort, pair.hostPort) !== undefined) return
    const place = this.#free.pop()
    if (place === undefined) return
    this.#places.set(pair.guestPort, pair.hostPort, place)
    emitPlace(pair, this.#place, 0)
    this.#write(place)
  }

  close(pair: Pair): void {
    if (this.#places.get(pair.guestPort, pair.hostPort) !== undefined)
      this.#closing.set(pair.guestPort, pair.hostPort, pair)
  }

  /** The guest was given every buffer that was filled so far: what was closed is free. */
  settle(): void {
    if (this.#closing.size === 0) return
    this.#place.fill(0)
    for (const { guestPort, hostPort } of this.#closing.values()) {
      const place = this.#places.get(guestPort, hostPort)
      this.#closing.delete(guestPort, hostPort)
      if (place === undefined) continue
      this.#places.delete(guestPort, hostPort)
      this.#free.push(place)
      this.#write(place)
    }
  }

  /** Removes the file if nothing is open, and leaves it to a successor otherwise. */
  [Symbol.dispose](): void {
    this.settle()
    closeSync(this.#fd)
    if (this.#places.size === 0) rmSync(this.#path, { force: true })
  }

  #write(place: number): void {
    writeSync(this.#fd, this.#place, 0, PLACE, HEAD + PLACE * place)
  }
}

/** The pairs of a journal; none where there is no such file, or it is of another guest, or no journal at all. */
function readJournal(path: string, guestCid: number): readonly Pair[] {
  if (!existsSync(path) || statSync(path).size > BYTES_MAX) return []
  const bytes = readFileSync(path)
  if (bytes.length < HEAD) return []
  const head = [0, 4, 8].map((at) => bytes.readUInt32LE(at))
  if ([MAGIC, VERSION, guestCid].some((word, index) => head[index] !== word)) return []
  const pairs: Pair[] = []
  for (let at = HEAD; at + PLACE <= bytes.length; at += PLACE) {
    const guestPort = bytes.readUInt32LE(at) - 1
    const hostPort = bytes.readUInt32LE(at + 4)
    if (guestPort >= 0 && hostPort <= PORT_MAX) pairs.push({ guestPort, hostPort })
  }
  return pairs
}

function emitPlace({ guestPort, hostPort }: Pair, bytes: Buffer, at: number): void {
  bytes.writeUInt32LE(guestPort + 1, at)
  bytes.writeUInt32LE(hostPort, at + 4)
}
