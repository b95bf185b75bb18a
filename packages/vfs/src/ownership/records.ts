/**
 * Where records of owners are: in the extended attribute `user.skep.owner` of a file where it takes one, in the database where it does not, and in a
 * cache that a file's time of change keeps true.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { type Attributes, DURABLE_MAX, type NodeId } from "../filesystem.ts"
import type { ExtendedCalls, KeepingFileSystem } from "../forwarding.ts"
import type { FileNumber, Kept, OwnerDatabase } from "./database.ts"
import { emit, isEmpty, NO_RECORD, type OwnerRecord, parse } from "./record.ts"

const ATTRIBUTE: Uint8Array = Buffer.from("user.skep.owner", "latin1")
/** More than the longest record. */
const RECORD_ROOM = 64
/**
 * A file system marks times with its clock's last tick, 10 ms at worst: what was read sooner after a change than that may be changed again without a sign
 * of it, and is read again.
 */
const TICK_MS = 20
const CACHED_MAX = 32_768
const NANOSECONDS_PER_MS = 1_000_000
const HEX = 16

/** Errors that say that this file takes no record, and not that nothing can be kept. */
const ELSEWHERE: readonly number[] = [sys.EOPNOTSUPP, sys.EPERM, sys.EACCES, sys.ENOSPC, sys.E2BIG]

/** Of a file system that keeps nothing for layers above. */
const NONE: ExtendedCalls = {
  getExtended: () => -sys.EOPNOTSUPP,
  setExtended: () => -sys.EOPNOTSUPP,
  listExtended: () => -sys.EOPNOTSUPP,
  removeExtended: () => -sys.EOPNOTSUPP,
}

interface Cached {
  record: OwnerRecord
  seconds: number
  nanoseconds: number
  /** Whether a later change must show in the time of change. */
  settled: boolean
}

export interface OwnerRecordsOptions {
  readonly fs: KeepingFileSystem
  readonly database: OwnerDatabase
  /** Milliseconds since 1970, by the clock that marks the files' times. */
  readonly now: () => number
}

export class OwnerRecords {
  readonly #fs: KeepingFileSystem
  readonly #attributes: ExtendedCalls
  readonly #database: OwnerDatabase
  readonly #now: () => number
  readonly #cached = new Map<NodeId, Cached>()
  /** Nodes of the cache in the order in which they came, as a ring: the oldest gives way. */
  readonly #order = new Float64Array(CACHED_MAX)
  #next = 0
  /** Devices whose files take no extended attributes at all. */
  readonly #without = new Set<number>()
  readonly #room = new Uint8Array(RECORD_ROOM)
  readonly #durable = new Uint8Array(DURABLE_MAX)

  constructor({ fs, database, now }: OwnerRecordsOptions) {
    this.#fs = fs
    this.#attributes = fs.reserved ?? NONE
    this.#database = database
    this.#now = now
  }

  /** The record of a file whose attributes have just been read. */
  of(node: NodeId, attributes: Readonly<Attributes>): OwnerRecord {
    const cached = this.#cached.get(node)
    if (cached?.settled === true && isSince(cached, attributes)) return cached.record
    const record = this.#read(node, attributes) ?? cached?.record ?? NO_RECORD
    this.#keep(node, attributes, record)
    return record
  }

  /** The last that was known of a node. Every change that comes from clients is in it; one that somebody made on the host may not be. */
  known(node: NodeId): OwnerRecord | undefined {
    return this.#cached.get(node)?.record
  }

  /** Keeps a record, or takes it away where it is empty. Returns 0, or why it cannot be kept as `-errno`. */
  write(node: NodeId, attributes: Readonly<Attributes>, record: OwnerRecord): number {
    const result = isEmpty(record) ? this.#remove(node, attributes) : this.#write(node, attributes, record)
    // A file that has lost its names keeps nothing, but is shown right as long as it is open.
    return result === -sys.ESTALE ? 0 : result
  }

  /** What `of` says until the file changes. */
  remember(node: NodeId, attributes: Readonly<Attributes>, record: OwnerRecord): void {
    this.#keep(node, attributes, record)
  }

  /** Has the database know a file by the durable handle that it has now: after a rename. */
  moved(node: NodeId, attributes: Readonly<Attributes>): void {
    const number = numberOf(attributes)
    const kept = this.#inDatabase(node, attributes)
    const durable = this.#durableOf(node)
    if (kept === undefined || durable === undefined || durable === kept.durable) return
    this.#database.set(number, { durable, record: kept.record })
    this.#database.delete(number, kept.durable)
  }

  /** What takes out of the database whatever it has of a file: to be called when the file is gone. */
  keptOf(node: NodeId, attributes: Readonly<Attributes>): () => void {
    const number = numberOf(attributes)
    const kept = this.#database.get(number).filter(({ durable }) => this.#isNode(durable, node))
    return () => {
      for (const { durable } of kept) this.#database.delete(number, durable)
    }
  }

  /** Takes what the database has of files that are there no more out of it. */
  compact(): void {
    this.#database.compact((durable) => this.#find(durable) > 0)
  }

  /** xattr(7): users' attributes are for files and directories. */
  takesAttributes({ mode, device }: Readonly<Attributes>): boolean {
    const type = mode & sys.S_IFMT
    return (type === sys.S_IFREG || type === sys.S_IFDIR) && !this.#without.has(device)
  }

  /** Undefined where it cannot be told. */
  #read(node: NodeId, attributes: Readonly<Attributes>): OwnerRecord | undefined {
    const kept = this.#inDatabase(node, attributes)
    if (kept !== undefined) return kept.record
    if (!this.takesAttributes(attributes)) return NO_RECORD
    const length = this.#attributes.getExtended(node, ATTRIBUTE, this.#room)
    if (length === -sys.EOPNOTSUPP) this.#without.add(attributes.device)
    if (length === -sys.ESTALE) return undefined
    if (length < 0) return NO_RECORD
    return parse(Buffer.from(this.#room.subarray(0, length)).toString("latin1")) ?? NO_RECORD
  }

  #inDatabase(node: NodeId, attributes: Readonly<Attributes>): Kept | undefined {
    if (this.#database.size === 0) return undefined
    return this.#database.get(numberOf(attributes)).find(({ durable }) => this.#isNode(durable, node))
  }

  #write(node: NodeId, attributes: Readonly<Attributes>, record: OwnerRecord): number {
    const result = this.#writeAttribute(node, attributes, record)
    const drop = this.keptOf(node, attributes)
    if (result === 0) drop()
    if (result === 0 || !ELSEWHERE.includes(-result)) return result
    const durable = this.#durableOf(node)
    if (durable === undefined) return -sys.ESTALE
    drop()
    this.#database.set(numberOf(attributes), { durable, record })
    return 0
  }

  #writeAttribute(node: NodeId, attributes: Readonly<Attributes>, record: OwnerRecord): number {
    if (!this.takesAttributes(attributes)) return -sys.EOPNOTSUPP
    const result = this.#attributes.setExtended(node, ATTRIBUTE, Buffer.from(emit(record), "latin1"), 0)
    if (result === -sys.EOPNOTSUPP) this.#without.add(attributes.device)
    return result
  }

  #remove(node: NodeId, attributes: Readonly<Attributes>): number {
    this.keptOf(node, attributes)()
    if (!this.takesAttributes(attributes)) return 0
    const result = this.#attributes.removeExtended(node, ATTRIBUTE)
    return result === -sys.ENODATA || ELSEWHERE.includes(-result) ? 0 : result
  }

  #isNode(durable: string, node: NodeId): boolean {
    return this.#find(durable) === node
  }

  /** The node of a durable handle, without a reference. */
  #find(durable: string): number {
    const node = this.#fs.find(new Uint8Array(Buffer.from(durable, "hex")))
    if (node > 0) this.#fs.forget(node, 1)
    return node
  }

  #durableOf(node: NodeId): string | undefined {
    const length = this.#fs.durable(node, this.#durable)
    return length < 0 ? undefined : Buffer.from(this.#durable.subarray(0, length)).toString("hex")
  }

  #keep(node: NodeId, attributes: Readonly<Attributes>, record: OwnerRecord): void {
    const { changeSeconds: seconds, changeNanoseconds: nanoseconds } = attributes
    const changedMs = seconds * 1000 + nanoseconds / NANOSECONDS_PER_MS
    const settled = this.#now() - changedMs > TICK_MS
    const cached = this.#cached.get(node)
    if (cached !== undefined) {
      cached.record = record
      cached.seconds = seconds
      cached.nanoseconds = nanoseconds
      cached.settled = settled
      return
    }
    this.#cached.delete(this.#order[this.#next] ?? 0)
    this.#order[this.#next] = node
    this.#next = (this.#next + 1) % CACHED_MAX
    this.#cached.set(node, { record, seconds, nanoseconds, settled })
  }
}

function isSince({ seconds, nanoseconds }: Cached, attributes: Readonly<Attributes>): boolean {
  return seconds === attributes.changeSeconds && nanoseconds === attributes.changeNanoseconds
}

function numberOf({ inoHigh, inoLow }: Readonly<Attributes>): FileNumber {
  return ((BigInt(inoHigh) << 32n) | BigInt(inoLow)).toString(HEX)
}
