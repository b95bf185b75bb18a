/**
 * What the owner of a pool and its threads share: jobs as numbers, a queue of them, and a ring of those that are done.
 *
 * ```
 *  control  i32 │ HEAD TAIL IDLE STOP RUNG DONE ENDED … │ queue: JOBS │ done: JOBS │
 *  jobs     f64 │ operation fd a b c d result · │ … JOBS times
 *  iovecs       │ 1024 struct iovec │ … JOBS times, by address: only those that were ever used are there
 * ```
 *
 * The owner writes a job and its place in the queue, then TAIL. A thread reads the place at HEAD and takes it by moving HEAD on: that fails where another was
 * faster. It leaves the result in the job, its number plus one in the ring, and rings the eventfd unless somebody has since the owner looked.
 *
 * @module
 */
import { at } from "../memory/words.ts"

/** How many calls may be under way. A power of two. */
export const JOBS = 1024
/** The numbers of one job. */
export const JOB_WORDS = 8
export const OPERATION = 0
export const FD = 1
export const FIRST = 2
export const RESULT = 6

/** What a thread can be asked for. */
export const PREADV = 0
export const PWRITEV = 1
export const FSYNC = 2
export const FDATASYNC = 3
export const FALLOCATE = 4
export const COPY_FILE_RANGE = 5

const HEAD = 0
const TAIL = 1
const IDLE = 2
const STOP = 3
const RUNG = 4
const DONE = 5
const ENDED = 6
const QUEUE = 16
const RING = QUEUE + JOBS

export const CONTROL_BYTES: number = (RING + JOBS) * Int32Array.BYTES_PER_ELEMENT
export const JOBS_BYTES: number = JOBS * JOB_WORDS * Float64Array.BYTES_PER_ELEMENT

/** What a thread of a pool is given. */
export interface PoolThreadData {
  readonly poolThread: true
  readonly control: Int32Array
  readonly jobs: Float64Array
  readonly wakeFd: number
  /** For the first file of a thread whose entry is TypeScript. */
  readonly entry: string
}

// The owner's part.

/** Queues a job, and wakes a thread if one sleeps. */
export function put(control: Int32Array, job: number): void {
  const tail = Atomics.load(control, TAIL)
  control[QUEUE + (tail & (JOBS - 1))] = job
  Atomics.store(control, TAIL, (tail + 1) | 0)
  if (Atomics.load(control, IDLE) > 0) Atomics.notify(control, TAIL, 1)
}

/** From now on the first one that ends a job rings. To be called before `takeDone`. */
export function listen(control: Int32Array): void {
  Atomics.store(control, RUNG, 0)
}

/** The job that was the `index`th to end, or -1 where it has not yet. */
export function takeDone(control: Int32Array, index: number): number {
  return Atomics.exchange(control, RING + (index & (JOBS - 1)), 0) - 1
}

/** Waits until more than `index` jobs have ended, or `timeoutMs` are over. */
export function waitDone(control: Int32Array, index: number, timeoutMs: number): void {
  const done = Atomics.load(control, DONE)
  // One that has taken its number and not left its job yet is about to.
  if (done === (index | 0)) Atomics.wait(control, DONE, done, timeoutMs)
}

/** Asks the threads to end when the queue is empty, and waits for all of them. Returns whether they did in time. */
export function stopAll(control: Int32Array, threads: number, timeoutMs: number): boolean {
  Atomics.store(control, STOP, 1)
  Atomics.add(control, TAIL, 0)
  Atomics.notify(control, TAIL)
  const end = performance.now() + timeoutMs
  for (;;) {
    const ended = Atomics.load(control, ENDED)
    if (ended >= threads) return true
    const left = end - performance.now()
    if (left <= 0) return false
    // A thread that was just about to sleep has not heard: hence in short pieces.
    Atomics.wait(control, ENDED, ended, Math.min(left, WAIT_PIECE_MS))
    Atomics.notify(control, TAIL)
  }
}

const WAIT_PIECE_MS = 20

// A thread's part.

/** The next job, or -1 where the thread is to end. Sleeps in between. */
export function take(control: Int32Array): number {
  for (;;) {
    const head = Atomics.load(control, HEAD)
    const tail = Atomics.load(control, TAIL)
    if (head !== tail) {
      const job = at(control, QUEUE + (head & (JOBS - 1)))
      if (Atomics.compareExchange(control, HEAD, head, (head + 1) | 0) === head) return job
    } else if (Atomics.load(control, STOP) !== 0) {
      return -1
    } else {
      Atomics.add(control, IDLE, 1)
      Atomics.wait(control, TAIL, tail)
      Atomics.sub(control, IDLE, 1)
    }
  }
}

/** Tells the owner. Returns whether the eventfd is to be rung. */
export function finish(control: Int32Array, job: number): boolean {
  const index = Atomics.add(control, DONE, 1)
  Atomics.store(control, RING + (index & (JOBS - 1)), job + 1)
  Atomics.notify(control, DONE)
  return Atomics.exchange(control, RUNG, 1) === 0
}

export function tellEnded(control: Int32Array): void {
  Atomics.add(control, ENDED, 1)
  Atomics.notify(control, ENDED)
}
