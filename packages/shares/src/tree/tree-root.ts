/**
 * The directory that holds all shares of a machine, each under its number: made up, and the guest's to read only.
 *
 * @module
 */
import type { Attributes, Name, Usage, Visit } from "@skep/vfs"

const S_IFDIR = 0o040_000
const MODE = 0o755
const DT_DIR = 4
const ENOENT = 2
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39
/** Digits of the largest number of a share. */
const DIGITS_MAX = 7
const BLOCK = 4096

/** Cookies of the two entries that every directory has; a share's comes after them. */
const COOKIE_SELF = 1n
const COOKIE_PARENT = 2n

/** "." and ".." are 0, which is the root itself; a share its number; else -ENOENT. */
export function parseShareName(name: Name): number {
  const isDots = name.length <= 2 && name.every((byte) => byte === DOT)
  if (isDots && name.length > 0) return 0
  if (name.length === 0 || name.length > DIGITS_MAX || name[0] === ZERO) return -ENOENT
  let number = 0
  for (const byte of name) {
    if (byte < ZERO || byte > NINE) return -ENOENT
    number = number * 10 + (byte - ZERO)
  }
  return number
}

export function fillRootAttributes(into: Attributes, shares: number, changedMs: number): void {
  const seconds = Math.floor(changedMs / 1000)
  const nanoseconds = Math.floor((changedMs % 1000) * 1e6)
  into.inoLow = 1
  into.inoHigh = 0
  into.device = 0
  into.mode = S_IFDIR | MODE
  into.links = 2 + shares
  into.uid = 0
  into.gid = 0
  into.rdev = 0
  into.size = 0
  into.blocks = 0
  into.blockSize = BLOCK
  into.accessSeconds = seconds
  into.accessNanoseconds = nanoseconds
  into.modifySeconds = seconds
  into.modifyNanoseconds = nanoseconds
  into.changeSeconds = seconds
  into.changeNanoseconds = nanoseconds
}

/** Shows the shares, whose numbers are in order, from `cookie` on. */
export function listRoot(shares: Iterable<number>, cookie: bigint, visit: Visit): void {
  const entry = { name: SELF, cookie: COOKIE_SELF, type: DT_DIR, inoLow: 1, inoHigh: 0 }
  if (cookie < COOKIE_SELF && !visit(entry)) return
  entry.name = PARENT
  entry.cookie = COOKIE_PARENT
  if (cookie < COOKIE_PARENT && !visit(entry)) return
  for (const share of shares) {
    const next = COOKIE_PARENT + BigInt(share)
    if (next <= cookie) continue
    entry.name = new TextEncoder().encode(String(share))
    entry.cookie = next
    // What its attributes say is known when somebody looks; no program minds here.
    entry.inoLow = 1 + share
    if (!visit(entry)) return
  }
}

const SELF = Uint8Array.of(DOT)
const PARENT = Uint8Array.of(DOT, DOT)

/** Of a tree without shares. */
export function fillRootUsage(into: Usage): void {
  into.blockSize = BLOCK
  into.blocks = 0
  into.freeBlocks = 0
  into.availableBlocks = 0
  into.files = 0
  into.freeFiles = 0
  into.nameMax = 255
}
