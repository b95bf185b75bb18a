/**
 * Locks, where they are the host's: fcntl(2)'s and, as ones on the whole file with the open file as their owner, flock(2)'s.
 *
 * @module
 */
import { EAGAIN, ENOSYS } from "@skep/loop/sys"
import { IN_HEADER, OUT_HEADER } from "../../protocol/header.ts"
import { emitLock, LOCK_OUT, parseLockIn } from "../../protocol/others.ts"
import { u32 } from "../../protocol/words.ts"
import type { Exchange } from "../exchange.ts"
import { LATER, NO_ANSWER, type Work } from "../work.ts"

export function getLock(work: Work): number {
  if (!work.locks) return -ENOSYS
  const request = parseLockIn(work.words, IN_HEADER)
  if (typeof request === "string") return work.malformed(request)
  const { handle, owner, lock } = request
  const result = work.fileSystem.getLock(handle, owner, lock)
  if (result < 0) return result
  emitLock(lock, work.outWords, OUT_HEADER)
  return LOCK_OUT
}

export function setLock(work: Work): number {
  if (!work.locks) return -ENOSYS
  const request = parseLockIn(work.words, IN_HEADER)
  if (typeof request === "string") return work.malformed(request)
  return work.fileSystem.setLock(request.handle, request.owner, request.lock)
}

export function waitForLock(work: Work, exchange: Exchange): number {
  if (!work.locks) return -ENOSYS
  const request = parseLockIn(work.words, IN_HEADER)
  if (typeof request === "string") return work.malformed(request)
  const result = work.fileSystem.setLock(request.handle, request.owner, request.lock)
  if (result !== -EAGAIN) return result
  work.waiters.add({ exchange, handle: request.handle, owner: request.owner, lock: request.lock })
  return LATER
}

/** Of all that is under way only waits for locks can be ended early. */
export function interrupt(work: Work): number {
  work.waiters.interrupt(u32(work.words, IN_HEADER), u32(work.words, IN_HEADER + 4))
  return NO_ANSWER
}
