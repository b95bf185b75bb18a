/**
 * What a virtiofs device knows beyond its process, in a file that is mapped: what was agreed upon in INIT, which chains were taken and not given
 * back, and what became of requests that may be done only once.
 *
 * ```
 * page 0     | magic u32 | version u32 | queues u32 | agreed u32 | minor u32 | flags u32 | flags2 u32 | max_write u32 |
 * each queue | ledger, 16 KiB | outcome of each head, 64 KiB:
 *            |   phase u32 | unique u64 | result i32 | node u64 | handle u64 | 0 … |                       64 bytes
 * ```
 *
 * It is written by plain stores, which the kernel keeps whatever kills the process; a crash of the host ends the guest too.
 *
 * @module
 */
import { closeSync, existsSync, ftruncateSync, openSync, readSync, renameSync, statSync } from "node:fs"
import type { Memo, Negotiated, Outcome } from "@skep/fuse"
import { at, getU64, type Mapping, mapAnonymous, mapShared, setU64 } from "@skep/loop/memory"
import { LEDGER_WORDS, Ledger, SIZE_MAX } from "@skep/vhost-user"

const MAGIC = 0x6670_6b73
const VERSION = 1
const PAGE = 4096
const LEDGER_BYTES = Math.ceil((LEDGER_WORDS * 4) / PAGE) * PAGE
const OUTCOME = 64
const OUTCOME_WORDS = OUTCOME / 4
const QUEUE_BYTES = LEDGER_BYTES + OUTCOME * SIZE_MAX

const AGREED = 3
const MINOR = 4
const FLAGS = 5
const FLAGS2 = 6
const MAX_WRITE = 7

const PHASES = ["unknown", "begun", "done"] as const
const BEGUN = 1
const DONE = 2
const UNIQUE_LOW = 1
const UNIQUE_HIGH = 2
const RESULT = 3
const NODE = 4
const HANDLE = 6

export interface StateFileOptions {
  /** Without one everything is forgotten with the process. */
  readonly path?: string | undefined
  readonly queues: number
}

export class StateFile implements Memo, Disposable {
  /** Why what was at the path was not used, in a sentence. */
  readonly setAside: string | undefined
  readonly #mapping: Mapping
  readonly #head: Uint32Array
  readonly #ledgers: readonly Ledger[]
  readonly #outcomes: readonly Uint32Array[]

  /** Takes over what lies at `path`, if it is of such a device. Throws the error of a file that cannot be made. */
  constructor({ path, queues }: StateFileOptions) {
    const length = PAGE + queues * QUEUE_BYTES
    if (path === undefined) this.#mapping = mapAnonymous(length)
    else {
      this.setAside = setAside(path, queues, length)
      this.#mapping = mapFile(path, length)
    }
    const words = new Uint32Array(this.#mapping.view(0, length))
    const part = (offset: number, bytes: number): Uint32Array =>
      words.subarray(offset / 4, (offset + bytes) / 4)
    this.#head = part(0, PAGE)
    const starts = Array.from({ length: queues }, (_, queue) => PAGE + queue * QUEUE_BYTES)
    this.#ledgers = starts.map((start) => new Ledger(part(start, LEDGER_BYTES)))
    this.#outcomes = starts.map((start) => part(start + LEDGER_BYTES, OUTCOME * SIZE_MAX))
    this.#head.set([MAGIC, VERSION, queues])
  }

  get negotiated(): Negotiated | undefined {
    if (at(this.#head, AGREED) === 0) return undefined
    return {
      minor: at(this.#head, MINOR),
      flags: at(this.#head, FLAGS),
      flags2: at(this.#head, FLAGS2),
      maxWrite: at(this.#head, MAX_WRITE),
    }
  }

  setNegotiated(negotiated: Negotiated | undefined): void {
    Atomics.store(this.#head, AGREED, 0)
    if (negotiated === undefined) return
    const { minor, flags, flags2, maxWrite } = negotiated
    this.#head.set([minor, flags, flags2, maxWrite], MINOR)
    Atomics.store(this.#head, AGREED, 1)
  }

  ledgerOf(queue: number): Ledger {
    const ledger = this.#ledgers[queue]
    if (ledger === undefined) throw new RangeError(`there is no queue ${queue}`)
    return ledger
  }

  begin(slot: number, uniqueLow: number, uniqueHigh: number): void {
    const { words, first } = this.#outcome(slot)
    Atomics.store(words, first, 0)
    words[first + UNIQUE_LOW] = uniqueLow
    words[first + UNIQUE_HIGH] = uniqueHigh
    Atomics.store(words, first, BEGUN)
  }

  end(slot: number, result: number, node: number, handle: number): void {
    const { words, first } = this.#outcome(slot)
    words[first + RESULT] = result
    setU64(words, first + NODE, node)
    // -1 is none: one more is kept.
    setU64(words, first + HANDLE, handle + 1)
    Atomics.store(words, first, DONE)
  }

  recall(slot: number, uniqueLow: number, uniqueHigh: number): Outcome {
    const { words, first } = this.#outcome(slot)
    const same = at(words, first + UNIQUE_LOW) === uniqueLow && at(words, first + UNIQUE_HIGH) === uniqueHigh
    const phase = same ? (PHASES[Atomics.load(words, first)] ?? "unknown") : "unknown"
    return {
      phase,
      result: at(words, first + RESULT) | 0,
      node: getU64(words, first + NODE),
      handle: getU64(words, first + HANDLE) - 1,
    }
  }

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]()
  }

  #outcome(slot: number): { readonly words: Uint32Array; readonly first: number } {
    const words = this.#outcomes[Math.floor(slot / SIZE_MAX)]
    if (words === undefined) throw new RangeError(`there is no place ${slot}`)
    return { words, first: (slot % SIZE_MAX) * OUTCOME_WORDS }
  }
}

/** Renames a file that is not of such a device, and says why. */
function setAside(path: string, queues: number, length: number): string | undefined {
  if (!existsSync(path)) return undefined
  const why = strange(path, queues, length)
  if (why === undefined) return undefined
  renameSync(path, `${path}.bad`)
  return `${path} ${why}: it was set aside as ${path}.bad`
}

function strange(path: string, queues: number, length: number): string | undefined {
  const { size } = statSync(path)
  if (size === 0) return undefined
  if (size !== length) return `has ${size} bytes instead of ${length}`
  const head = Buffer.alloc(12)
  const fd = openSync(path, "r")
  readSync(fd, head)
  closeSync(fd)
  const found = [0, 4, 8].map((offset) => head.readUInt32LE(offset))
  // All zeros: its maker was killed before it wrote anything.
  if (found.every((word) => word === 0)) return undefined
  return [MAGIC, VERSION, queues].every((word, index) => found[index] === word)
    ? undefined
    : "is no state of a virtiofs device"
}

function mapFile(path: string, length: number): Mapping {
  const fd = openSync(path, existsSync(path) ? "r+" : "w+", 0o600)
  try {
    ftruncateSync(fd, length)
    // Ours alone, in a directory that only we may enter.
    return mapShared(fd, length, { shrinkable: "accept" })
  } finally {
    closeSync(fd)
  }
}
