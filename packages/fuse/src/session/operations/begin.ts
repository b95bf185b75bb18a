/**
 * The beginning and the end of a session with a guest.
 *
 * @module
 */
import { EPROTO } from "@skep/loop/sys"
import * as c from "../../protocol/constants.ts"
import { IN_HEADER, OUT_HEADER } from "../../protocol/header.ts"
import { emitInitOut, INIT_OUT, type InitIn, type InitOut, parseInitIn } from "../../protocol/init.ts"
import type { Work } from "../work.ts"

/** In one request: what the kernel has at most. */
const PAGES_MAX = 256
export const WRITE_MAX: number = PAGES_MAX * 4096
/** Reads ahead and the like that the guest has under way at a time, and from when on it holds itself back. */
const BACKGROUND = 128
const CONGESTION = 96

/** What is wanted of what the guest can do. */
const WANTED =
  c.ASYNC_READ |
  c.ATOMIC_O_TRUNC |
  c.EXPORT_SUPPORT |
  c.BIG_WRITES |
  c.AUTO_INVAL_DATA |
  c.DO_READDIRPLUS |
  c.READDIRPLUS_AUTO |
  c.ASYNC_DIO |
  c.PARALLEL_DIROPS |
  c.MAX_PAGES |
  c.CACHE_SYMLINKS |
  c.SUBMOUNTS |
  c.HANDLE_KILLPRIV_V2 |
  c.INIT_EXT

/** A guest that begins: what the last one had is given back. */
export function init(work: Work): number {
  const request = parseInitIn(work.words, IN_HEADER, work.end)
  if (request.major < c.MAJOR || (request.major === c.MAJOR && request.minor < c.MINOR_LEAST))
    return work.malformed("version", EPROTO)
  const answer = agree(request, work)
  emitInitOut(answer, work.outWords, OUT_HEADER)
  // A newer major version: the guest says INIT again, with ours.
  if (request.major > c.MAJOR) return INIT_OUT
  work.clear()
  work.flags = answer.flags
  work.maxWrite = answer.maxWrite
  const { minor, flags, flags2, maxWrite } = answer
  work.memo.setNegotiated({ minor, flags, flags2, maxWrite })
  return INIT_OUT
}

function agree({ minor, maxReadahead, flags }: InitIn, { locks, writeback }: Work): InitOut {
  const wanted = WANTED | (locks ? c.POSIX_LOCKS | c.FLOCK_LOCKS : 0) | (writeback ? c.WRITEBACK_CACHE : 0)
  const chosen = flags & wanted
  const pages = (chosen & c.MAX_PAGES) === 0 ? 32 : PAGES_MAX
  return {
    major: c.MAJOR,
    minor: Math.min(minor, c.MINOR),
    maxReadahead,
    flags: chosen >>> 0,
    maxBackground: BACKGROUND,
    congestionThreshold: CONGESTION,
    maxWrite: pages * 4096,
    timeGranularity: 1,
    maxPages: pages,
    flags2: 0,
  }
}

/** The guest unmounts. */
export function destroy(work: Work): number {
  work.clear()
  return 0
}
