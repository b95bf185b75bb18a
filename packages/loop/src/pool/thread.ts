/**
 * A thread of a pool: makes the system calls it is given, one after the other, and sleeps in between. An entry of its own.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads"
import { at } from "../memory/words.ts"
import { copyFileRange, fallocate, fdatasync, fsync } from "../sys/data.ts"
import { signal } from "../sys/epoll.ts"
import { ENOSYS } from "../sys/errno.ts"
import { preadv, pwritev } from "../sys/file.ts"
import * as board from "./board.ts"

const given: unknown = workerData
if (!isPoolThreadData(given)) throw new Error("Cannot run a thread of a pool here: it is for SyscallPool")
serve(given)

function serve({ control, jobs, wakeFd }: board.PoolThreadData): void {
  parentPort?.postMessage("ready")
  for (;;) {
    const job = board.take(control)
    if (job < 0) break
    jobs[job * board.JOB_WORDS + board.RESULT] = call(jobs, job * board.JOB_WORDS)
    if (board.finish(control, job)) signal(wakeFd)
  }
  board.tellEnded(control)
}

function call(jobs: Float64Array, job: number): number {
  const fd = at(jobs, job + board.FD)
  const a = at(jobs, job + board.FIRST)
  const b = at(jobs, job + board.FIRST + 1)
  const c = at(jobs, job + board.FIRST + 2)
  switch (at(jobs, job)) {
    case board.PREADV:
      return preadv(fd, a, b, c)
    case board.PWRITEV:
      return pwritev(fd, a, b, c)
    case board.FSYNC:
      return fsync(fd)
    case board.FDATASYNC:
      return fdatasync(fd)
    case board.FALLOCATE:
      return fallocate(fd, a, b, c)
    case board.COPY_FILE_RANGE:
      return copyFileRange(fd, a, b, c)
    default:
      return -ENOSYS
  }
}

function isPoolThreadData(data: unknown): data is board.PoolThreadData {
  return typeof data === "object" && data !== null && "poolThread" in data
}
