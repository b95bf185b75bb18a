/**
 * Changing what is known of a file.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Changes, Timestamp } from "../filesystem.ts"
import type { Core } from "./core.ts"
import type { OpenFile } from "./handles.ts"

const UNCHANGED = 0xffffffff
const HIGH = 2 ** 32
const NANOSECONDS = 1e9

/** Makes the changes in their order. `file` is where it is open; `fd` leads to it. */
export function change(core: Core, slot: number, fd: number, changes: Changes, file?: OpenFile): number {
  if (changes.uid !== undefined || changes.gid !== undefined) {
    const { uid = UNCHANGED, gid = UNCHANGED } = changes
    const result = sys.fchownat(fd, core.memory.empty, uid, gid, sys.AT_EMPTY_PATH)
    if (result < 0) return result
  }
  if (changes.mode !== undefined) {
    // chmod of a link would be of its target.
    if (core.table.type(slot) === sys.S_IFLNK) return -sys.EOPNOTSUPP
    const name = core.memory.descriptorName(fd)
    const result = sys.fchmodat(core.walker.descriptors, name, changes.mode & 0o7777)
    if (result < 0) return result
  }
  if (changes.size !== undefined) {
    const result = resize(core, slot, fd, changes.size, file)
    if (result < 0) return result
  }
  if (changes.access === undefined && changes.modify === undefined) return 0
  return setTimes(core, fd, changes)
}

function resize(core: Core, slot: number, fd: number, size: number, file: OpenFile | undefined): number {
  const type = core.table.type(slot)
  if (type === sys.S_IFDIR) return -sys.EISDIR
  if (type !== sys.S_IFREG || size < 0) return -sys.EINVAL
  if (!Number.isSafeInteger(size)) return -sys.EFBIG
  const writable = file !== undefined && (file.flags & sys.O_ACCMODE) !== sys.O_RDONLY
  return writable ? sys.ftruncate(file.fd, size) : sys.truncate(core.memory.descriptorPath(fd), size)
}

function setTimes(core: Core, fd: number, changes: Changes): number {
  const { times } = core.memory
  for (const [index, time] of [changes.access, changes.modify].entries())
    if (!writeTime(times.u32, index * 4, time)) return -sys.EINVAL
  return sys.utimensat(core.walker.descriptors, core.memory.descriptorName(fd), times.address, 0)
}

function writeTime(words: Uint32Array, at: number, time: Timestamp | "now" | undefined): boolean {
  const { seconds, nanoseconds } =
    time === undefined
      ? { seconds: 0, nanoseconds: sys.UTIME_OMIT }
      : time === "now"
        ? { seconds: 0, nanoseconds: sys.UTIME_NOW }
        : time
  if (typeof time === "object" && !(nanoseconds >= 0 && nanoseconds < NANOSECONDS)) return false
  words[at] = seconds
  // Before 1970 seconds are negative.
  words[at + 1] = Math.floor(seconds / HIGH)
  words[at + 2] = nanoseconds
  words[at + 3] = 0
  return true
}
