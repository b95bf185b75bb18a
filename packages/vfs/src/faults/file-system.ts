/**
 * A file system whose disk is failing, full or slow as planned, around one that is not: for tests of what is above.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Done, FileSystem, Pieces } from "../filesystem.ts"
import { forwarding, type KeepingFileSystem } from "../forwarding.ts"
import { eachPiece } from "../memory/pieces.ts"
import { Calls, delayOf, errnoOf, type FaultPlan, type Operation, type WaitingOperation } from "./plan.ts"
import { VirtualTime } from "./virtual-time.ts"

export interface FaultyFileSystem extends KeepingFileSystem {
  /** What is planned from the next call on; may be replaced at any time. Calls are counted on. */
  plan: FaultPlan
  readonly calls: Calls
}

export interface FaultOptions {
  /** The clock of delays. Without one, nothing that is delayed ever ends. */
  readonly time?: VirtualTime
}

/** An operation that waits is done as ever, and its end is told late: what it was given stays its own until then. */
export function withFaults(
  fs: KeepingFileSystem,
  plan: FaultPlan,
  options: FaultOptions = {},
): FaultyFileSystem {
  const faults = new Faults(plan, options.time ?? new VirtualTime())
  return {
    ...forwarding(fs),
    ...failing(fs, faults),
    ...waiting(fs, faults),
    calls: faults.calls,
    get plan() {
      return faults.plan
    },
    set plan(next) {
      faults.replace(next)
    },
  }
}

class Faults {
  readonly calls = new Calls()
  readonly #time: VirtualTime
  #plan: FaultPlan
  #leftBytes: number

  constructor(plan: FaultPlan, time: VirtualTime) {
    this.#time = time
    this.#plan = plan
    this.#leftBytes = plan.fullAfterBytes ?? Infinity
  }

  get plan(): FaultPlan {
    return this.#plan
  }

  /** Bytes until the disk is full. */
  get leftBytes(): number {
    return this.#leftBytes
  }

  replace(plan: FaultPlan): void {
    this.#plan = plan
    this.#leftBytes = plan.fullAfterBytes ?? Infinity
  }

  used(bytes: number): void {
    this.#leftBytes -= Math.max(bytes, 0)
  }

  /** Counts a call; the error that it is to have as `-errno`, or 0. */
  next(operation: Operation): number {
    return -errnoOf(this.#plan, operation, this.calls.next(operation)) || 0
  }

  /** `done`, as late as planned. */
  late(operation: WaitingOperation, done: Done): Done {
    const delayMs = delayOf(this.#plan, operation)
    return delayMs === 0 ? done : (result) => this.#time.after(delayMs, () => done(result))
  }
}

type Immediate = Exclude<Operation, WaitingOperation>

/** Each operation that answers at once: its error, or the operation. */
function failing(fs: FileSystem, faults: Faults): Pick<FileSystem, Immediate> {
  const or = (operation: Immediate, call: () => number): number => faults.next(operation) || call()
  return {
    lookup: (...all) => or("lookup", () => fs.lookup(...all)),
    durable: (...all) => or("durable", () => fs.durable(...all)),
    find: (...all) => or("find", () => fs.find(...all)),
    getAttributes: (...all) => or("getAttributes", () => fs.getAttributes(...all)),
    setAttributes: (...all) => or("setAttributes", () => fs.setAttributes(...all)),
    readLink: (...all) => or("readLink", () => fs.readLink(...all)),
    makeNode: (...all) => or("makeNode", () => fs.makeNode(...all)),
    makeDirectory: (...all) => or("makeDirectory", () => fs.makeDirectory(...all)),
    makeSymlink: (...all) => or("makeSymlink", () => fs.makeSymlink(...all)),
    link: (...all) => or("link", () => fs.link(...all)),
    unlink: (...all) => or("unlink", () => fs.unlink(...all)),
    removeDirectory: (...all) => or("removeDirectory", () => fs.removeDirectory(...all)),
    rename: (...all) => or("rename", () => fs.rename(...all)),
    open: (...all) => or("open", () => fs.open(...all)),
    create: (...all) => or("create", () => fs.create(...all)),
    seek: (...all) => or("seek", () => fs.seek(...all)),
    openDirectory: (...all) => or("openDirectory", () => fs.openDirectory(...all)),
    readDirectory: (...all) => or("readDirectory", () => fs.readDirectory(...all)),
    getExtended: (...all) => or("getExtended", () => fs.getExtended(...all)),
    setExtended: (...all) => or("setExtended", () => fs.setExtended(...all)),
    listExtended: (...all) => or("listExtended", () => fs.listExtended(...all)),
    removeExtended: (...all) => or("removeExtended", () => fs.removeExtended(...all)),
    getLock: (...all) => or("getLock", () => fs.getLock(...all)),
    setLock: (...all) => or("setLock", () => fs.setLock(...all)),
    usage: (...all) => or("usage", () => fs.usage(...all)),
  }
}

/** Each operation that may wait: its error or the operation, as late as planned, on a disk that may be full. */
function waiting(fs: FileSystem, faults: Faults): Pick<FileSystem, WaitingOperation> {
  const or = (operation: WaitingOperation, done: Done, call: (done: Done) => void): void => {
    const refused = faults.next(operation)
    const late = faults.late(operation, done)
    if (refused < 0) late(refused)
    else call(late)
  }
  return {
    read: (handle, offset, into, done) => or("read", done, (late) => fs.read(handle, offset, into, late)),
    write: (handle, offset, from, done) =>
      or("write", done, (late) => writeWhatFits(fs, faults, { handle, offset, from }, late)),
    sync: (handle, dataOnly, done) => or("sync", done, (late) => fs.sync(handle, dataOnly, late)),
    allocate: (handle, mode, offset, length, done) =>
      or("allocate", done, (late) => fs.allocate(handle, mode, offset, length, late)),
    copy: (...[from, fromOffset, to, toOffset, length, done]) =>
      or("copy", done, (late) => {
        const fits = Math.min(length, faults.leftBytes)
        if (fits === 0 && length > 0) return late(-sys.ENOSPC)
        fs.copy(from, fromOffset, to, toOffset, fits, (result) => {
          faults.used(result)
          late(result)
        })
      }),
  }
}

interface Write {
  readonly handle: number
  readonly offset: number
  readonly from: Pieces
}

function writeWhatFits(fs: FileSystem, faults: Faults, { handle, offset, from }: Write, done: Done): void {
  if (faults.leftBytes === 0 && from.bytes > 0) return done(-sys.ENOSPC)
  const shorter = from.bytes <= faults.leftBytes ? undefined : new FirstBytes(from, faults.leftBytes)
  fs.write(handle, offset, shorter?.pieces ?? from, (result) => {
    faults.used(result)
    // Kept until here: the array that the operation reads is in it.
    done(shorter === undefined ? result : Math.min(result, shorter.pieces.bytes))
  })
}

/** The beginning of some pieces. */
class FirstBytes {
  readonly pieces: Pieces
  readonly #words: BigUint64Array<ArrayBuffer>

  constructor(from: Pieces, bytes: number) {
    const kept: bigint[] = []
    let left = bytes
    eachPiece(from, (address, length) => {
      const part = Math.min(length, left)
      kept.push(BigInt(address), BigInt(part))
      left -= part
      return left > 0
    })
    this.#words = BigUint64Array.from(kept)
    this.pieces = { address: sys.addressOf(this.#words.buffer), count: kept.length / 2, bytes }
  }
}
