/**
 * Operations on open files. What is read and written goes by address between the guest's memory and the file.
 *
 * @module
 */
import { EINVAL, ENOSYS } from "@skep/loop/sys"
import type { NodeId } from "@skep/vfs"
import { ENTRY_OUT } from "../../protocol/attributes.ts"
import * as c from "../../protocol/constants.ts"
import { IN_HEADER, OUT_HEADER } from "../../protocol/header.ts"
import * as files from "../../protocol/open.ts"
import { big64, LARGEST, putU64 } from "../../protocol/words.ts"
import type { Exchange } from "../exchange.ts"
import { LATER, type Work } from "../work.ts"
import { dropPrivileges } from "./attributes.ts"

/** What of a guest's flags is for the file of the host. */
const OPEN_FLAGS = c.O_ACCMODE | c.O_TRUNC | c.O_APPEND | c.O_NONBLOCK | c.O_SYNC
/** copy_file_range(2): no more at a time, so that the guest sees it go on. */
const COPY_MAX = 2 ** 30

/** A guest that collects what it writes reads what it writes a part of, and knows where the end is. */
function flagsOf(work: Work, flags: number): number {
  const kept = flags & OPEN_FLAGS
  if (!work.writeback) return kept
  const access = (kept & c.O_ACCMODE) === c.O_WRONLY ? c.O_RDWR : kept & c.O_ACCMODE
  return (kept & ~c.O_ACCMODE & ~c.O_APPEND) | access
}

function openFlagsOf(work: Work, node: NodeId): number {
  const policy = work.policyOf(node, undefined, work.caller)
  if (policy.direct) return c.FOPEN_DIRECT_IO | c.FOPEN_PARALLEL_DIRECT_WRITES
  return policy.keepCache ? c.FOPEN_KEEP_CACHE : 0
}

export function open(work: Work): number {
  const { flags, openFlags } = files.parseOpenIn(work.words, IN_HEADER)
  if ((openFlags & c.OPEN_KILL_SUIDGID) !== 0 && (flags & c.O_TRUNC) !== 0) dropPrivileges(work, -1)
  const handle = work.fileSystem.open(work.node, flagsOf(work, flags), work.caller)
  return handle < 0 ? handle : answerOpen(work, work.node, handle, OUT_HEADER)
}

/** Answers with a handle at `offset`, which has the room. */
export function answerOpen(work: Work, node: NodeId, handle: number, offset: number): number {
  work.files.add(handle)
  work.madeHandle = handle
  files.emitOpenOut({ handle, openFlags: openFlagsOf(work, node) }, work.outWords, offset)
  return files.OPEN_OUT
}

export function create(work: Work): number {
  const { flags, mode } = files.parseCreateIn(work.words, IN_HEADER)
  const name = work.nameAt(IN_HEADER + files.CREATE_IN)
  if (typeof name === "number") return name
  const how = { flags: flagsOf(work, flags) | c.O_CREAT | (flags & c.O_EXCL), mode, opened: -1 }
  const node = work.fileSystem.create(work.node, name, how, work.caller, work.attributes)
  return node < 0 ? node : answerCreated(work, node, how.opened)
}

export function answerCreated(work: Work, node: NodeId, handle: number): number {
  return work.answerEntry(node) + answerOpen(work, node, handle, OUT_HEADER + ENTRY_OUT)
}

export function read(work: Work, exchange: Exchange): number {
  const { handle, offset, size } = files.parseReadIn(work.words, IN_HEADER)
  if (!files.isExact(offset + size)) return work.malformed("number-too-large")
  const bytes = Math.min(size, exchange.writable - OUT_HEADER)
  if (bytes === 0) return 0
  exchange.asked = bytes
  const into = work.transport.target(exchange, OUT_HEADER, bytes)
  if (into.bytes !== bytes) return work.malformed("no-room")
  work.fileSystem.read(handle, offset, into, exchange.done)
  return LATER
}

export function write(work: Work, exchange: Exchange): number {
  const { handle, offset, size, how } = files.parseReadIn(work.words, IN_HEADER)
  if (!files.isExact(offset + size)) return work.malformed("number-too-large")
  const skip = IN_HEADER + files.READ_IN
  if (work.header.length - skip < size) return work.malformed("data-missing")
  if ((how & c.WRITE_KILL_SUIDGID) !== 0) dropPrivileges(work, handle)
  exchange.asked = size
  const from = work.transport.source(exchange, skip, size)
  if (from.bytes !== size) return work.malformed("data-missing")
  work.fileSystem.write(handle, offset, from, exchange.done)
  return LATER
}

export function release(work: Work): number {
  const { handle } = files.parseReleaseIn(work.words, IN_HEADER)
  work.files.delete(handle)
  work.fileSystem.release(handle)
  return 0
}

/** Closing a file gives its owner's locks back: fcntl(2). Without locks there is nothing to do, and the guest is told to ask no more. */
export function flush(work: Work): number {
  if (!work.locks) return -ENOSYS
  const { handle } = files.parseReleaseIn(work.words, IN_HEADER)
  const owner = big64(work.words, IN_HEADER + files.RELEASE_LOCK_OWNER)
  work.fileSystem.setLock(handle, owner, { type: "none", start: 0, end: LARGEST, pid: work.caller.pid })
  return 0
}

export function sync(work: Work, exchange: Exchange): number {
  const { handle, flags } = files.parseFsyncIn(work.words, IN_HEADER)
  work.fileSystem.sync(handle, (flags & c.FSYNC_FDATASYNC) !== 0, exchange.done)
  return LATER
}

export function allocate(work: Work, exchange: Exchange): number {
  const { handle, offset, length, mode } = files.parseFallocateIn(work.words, IN_HEADER)
  if (!files.isExact(offset + length)) return work.malformed("number-too-large")
  work.fileSystem.allocate(handle, mode, offset, length, exchange.done)
  return LATER
}

export function seek(work: Work): number {
  const { handle, offset, whence } = files.parseLseekIn(work.words, IN_HEADER)
  if (!files.isExact(offset)) return work.malformed("number-too-large")
  const result = work.fileSystem.seek(handle, offset, whence)
  if (result < 0) return result
  putU64(work.outWords, OUT_HEADER, result)
  return files.LSEEK_OUT
}

export function copy(work: Work, exchange: Exchange): number {
  const { from, fromOffset, to, toOffset, length, flags } = files.parseCopyIn(work.words, IN_HEADER)
  if (flags !== 0) return -EINVAL
  if (!files.isExact(fromOffset) || !files.isExact(toOffset)) return work.malformed("number-too-large")
  work.fileSystem.copy(from, fromOffset, to, toOffset, Math.min(length, COPY_MAX), exchange.done)
  return LATER
}
