/**
 * Locks on parts of files, shared with the host's own programs: open file description locks, fcntl(2).
 *
 * Such a lock belongs to an open file, and a client's owner is to have its own: each owner of locks on a file gets an open file for them. It ends with its last lock's
 * range, or with the last handle through which the owner locked.
 *
 * @module
 */
import { getU64, setU64 } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Lock } from "../filesystem.ts"
import type { OpenFile } from "./handles.ts"
import type { Memory } from "./memory.ts"

const { FLOCK } = sys
/** "To the end of every file" is a length of 0. */
const END = Number.MAX_SAFE_INTEGER
const TYPES = { read: sys.F_RDLCK, write: sys.F_WRLCK, none: sys.F_UNLCK } as const

interface Owner {
  readonly fd: number
  readonly files: Set<OpenFile>
  pid: number
}

/** Opens a node's file anew with these flags. */
export type OpenAgain = (slot: number, flags: number) => number

export class Locks implements Disposable {
  readonly #memory: Memory
  readonly #openAgain: OpenAgain
  /** By slot, then owner. */
  readonly #owners = new Map<number, Map<bigint, Owner>>()

  constructor(memory: Memory, openAgain: OpenAgain) {
    this.#memory = memory
    this.#openAgain = openAgain
  }

  get(file: OpenFile, owner: bigint, lock: Lock): number {
    if (!right(lock)) return -sys.EINVAL
    const own = this.#owners.get(file.slot)?.get(owner)
    // Whoever has no lock yet is nobody: any open file of ours that holds no lock asks for him.
    const fd = own?.fd ?? file.fd
    this.#write(lock)
    const result = sys.fcntl(fd, sys.F_OFD_GETLK, this.#memory.lock.address)
    if (result < 0) return result
    this.#read(file.slot, owner, lock)
    return 0
  }

  set(file: OpenFile, owner: bigint, lock: Lock): number {
    if (!right(lock)) return -sys.EINVAL
    if (!permits(file.flags & sys.O_ACCMODE, lock.type)) return -sys.EBADF
    const found = this.#owners.get(file.slot)?.get(owner)
    if (lock.type === "none" && found === undefined) return 0
    const own = found ?? this.#open(file)
    if (typeof own === "number") return own
    this.#write(lock)
    const result = sys.fcntl(own.fd, sys.F_OFD_SETLK, this.#memory.lock.address)
    if (result < 0) {
      if (found === undefined) sys.close(own.fd)
      return result === -sys.EACCES ? -sys.EAGAIN : result
    }
    if (lock.type === "none") {
      if (lock.start === 0 && lock.end >= END) this.#end(file.slot, owner)
      return 0
    }
    own.pid = lock.pid
    own.files.add(file)
    const owners = this.#owners.get(file.slot) ?? new Map<bigint, Owner>()
    owners.set(owner, own)
    this.#owners.set(file.slot, owners)
    return 0
  }

  /** A handle was released. */
  release(file: OpenFile): void {
    const owners = this.#owners.get(file.slot)
    if (owners === undefined) return
    for (const [owner, { files }] of owners)
      if (files.delete(file) && files.size === 0) this.#end(file.slot, owner)
  }

  [Symbol.dispose](): void {
    for (const owners of this.#owners.values()) for (const { fd } of owners.values()) sys.close(fd)
    this.#owners.clear()
  }

  #end(slot: number, owner: bigint): void {
    const owners = this.#owners.get(slot)
    const own = owners?.get(owner)
    if (owners === undefined || own === undefined) return
    sys.close(own.fd)
    owners.delete(owner)
    if (owners.size === 0) this.#owners.delete(slot)
  }

  /** For both kinds of locks where the host lets us; else as the handle is. */
  #open(file: OpenFile): Owner | number {
    let fd = this.#openAgain(file.slot, sys.O_RDWR)
    if (fd === -sys.EACCES || fd === -sys.EROFS) fd = this.#openAgain(file.slot, file.flags & sys.O_ACCMODE)
    return fd < 0 ? fd : { fd, files: new Set(), pid: 0 }
  }

  #write(lock: Lock): void {
    const { bytes, u32: words } = this.#memory.lock
    bytes.fill(0)
    bytes[FLOCK.type] = TYPES[lock.type]
    setU64(words, FLOCK.start >> 2, lock.start)
    setU64(words, FLOCK.length >> 2, lock.end >= END ? 0 : lock.end - lock.start + 1)
  }

  #read(slot: number, owner: bigint, lock: Lock): void {
    const { u16, u32: words } = this.#memory.lock
    const type = u16[FLOCK.type >> 1]
    if (type === sys.F_UNLCK) {
      lock.type = "none"
      return
    }
    lock.type = type === sys.F_RDLCK ? "read" : "write"
    lock.start = getU64(words, FLOCK.start >> 2)
    const length = getU64(words, FLOCK.length >> 2)
    lock.end = length === 0 ? END : lock.start + length - 1
    // The kernel does not know who it is. Where only one other holds locks here, it is him; else it is nobody we know.
    const others = [...(this.#owners.get(slot) ?? [])].filter(([other]) => other !== owner)
    lock.pid = others.length === 1 ? (others[0]?.[1].pid ?? 0) : 0
  }
}

/** Whether a handle is good for a lock: the file that has the lock is another one, and could do more. */
function permits(access: number, type: Lock["type"]): boolean {
  if (type === "none" || access === sys.O_RDWR) return true
  return access === (type === "read" ? sys.O_RDONLY : sys.O_WRONLY)
}

function right(lock: Lock): boolean {
  return (
    Number.isSafeInteger(lock.start) &&
    Number.isSafeInteger(lock.end) &&
    lock.start >= 0 &&
    lock.end >= lock.start
  )
}
