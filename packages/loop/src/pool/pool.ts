/**
 * Threads that make the system calls which may wait for a device, so that a loop never does.
 *
 * ```
 *  loop thread                                   pool threads
 *  preadv(fd, iovecs, …, done) ── job, TAIL ───► take ─► the call ─► result, DONE
 *       poll ◄──── eventfd, once a batch ─────────────────────────────┘
 *       done(result)
 * ```
 *
 * Jobs are numbers in shared memory: nothing is posted, cloned or allocated. Iovecs are copied, so that theirs may be used again at once; the memory they
 * name is the job's until it is done. `drain` waits for all of them, as before memory goes away.
 *
 * @module
 */
import { type ResourceLimits, Worker } from "node:worker_threads"
import type { Scope } from "../loop/scope.ts"
import { type Mapping, mapAnonymous } from "../memory/mapping.ts"
import { at, setU64 } from "../memory/words.ts"
import { IOVEC } from "../sys/abi.ts"
import { EPOLLET, EPOLLIN, IOV_MAX } from "../sys/constants.ts"
import { eventfd } from "../sys/epoll.ts"
import { check } from "../sys/error.ts"
import { close } from "../sys/file.ts"
import { copyMemory } from "../sys/shared-memory.ts"
import { entryOf } from "../thread/entry.ts"
import { LoopError } from "../thread/error.ts"
import * as board from "./board.ts"

const THREADS = 2
const STOP_MS = 2000
/** How long a wait may go on before the ring is looked at again. */
const DRAIN_PIECE_MS = 100
const SLOT_BYTES: number = IOV_MAX * IOVEC.size
/** A thread runs forty lines. */
const LIMITS: ResourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 }
const ENTRY = entryOf(import.meta.url, { built: "syscall-pool", source: "./thread.ts" })

/** Called once with the call's result: zero or more, or `-errno`. */
export type CallDone = (result: number) => void

export interface SyscallPoolOptions {
  /** Two unless told. */
  readonly threads?: number
  /** Where the threads' program is: found by itself in sources, and beside a bundle as `syscall-pool.js`. */
  readonly entry?: URL
}

/**
 * A pool belongs to the thread that started it. Each call returns false, and does nothing, where 1024 are under way or it has
 * more than 1024 iovecs: the caller makes it itself then.
 */
export class SyscallPool implements Disposable {
  readonly threads: number
  readonly #control: Int32Array
  readonly #jobs: Float64Array
  readonly #iovecs: Mapping
  readonly #words: Uint32Array
  readonly #wakeFd: number
  readonly #workers: Worker[] = []
  /** Numbers of jobs that are free, as a stack: those used last are warm. */
  readonly #free: Int32Array = Int32Array.from({ length: board.JOBS }, (_, index) => board.JOBS - 1 - index)
  #freeCount: number = board.JOBS
  readonly #done: (CallDone | undefined)[] = Array.from({ length: board.JOBS }, () => undefined)
  /** How many have been taken off the ring. */
  #taken = 0
  #disposed = false

  private constructor(threads: number) {
    this.threads = threads
    this.#wakeFd = check(eventfd(), "eventfd")
    this.#control = new Int32Array(new SharedArrayBuffer(board.CONTROL_BYTES))
    this.#jobs = new Float64Array(new SharedArrayBuffer(board.JOBS_BYTES))
    this.#iovecs = mapAnonymous(board.JOBS * SLOT_BYTES)
    this.#words = new Uint32Array(this.#iovecs.view(0, this.#iovecs.length))
  }

  /** Starts the threads: some 30 ms. In a loop's thread this is for its set-up, since a promise does not go on while a loop runs. */
  static async start(options: SyscallPoolOptions = {}): Promise<SyscallPool> {
    const pool = new SyscallPool(options.threads ?? THREADS)
    const entry = options.entry ?? ENTRY
    try {
      await Promise.all(Array.from({ length: pool.threads }, () => pool.#startThread(entry)))
    } catch (error) {
      await Promise.all(pool.#workers.map((worker) => worker.terminate()))
      pool.#end()
      throw error
    }
    return pool
  }

  /** How many calls are under way. */
  get inFlight(): number {
    return board.JOBS - this.#freeCount
  }

  /** Has the loop of `scope` take what is done, until the scope ends. */
  attach(scope: Scope): void {
    scope.add(this.#wakeFd, EPOLLIN | EPOLLET, () => void this.poll())
  }

  preadv(fd: number, iovecs: number, count: number, offset: number, done: CallDone): boolean {
    if (count > IOV_MAX) return false
    return this.#vectored(this.#take(board.PREADV, fd, done), iovecs, count, offset)
  }

  pwritev(fd: number, iovecs: number, count: number, offset: number, done: CallDone): boolean {
    if (count > IOV_MAX) return false
    return this.#vectored(this.#take(board.PWRITEV, fd, done), iovecs, count, offset)
  }

  fsync(fd: number, done: CallDone): boolean {
    return this.#put(this.#take(board.FSYNC, fd, done), 0, 0, 0)
  }

  fdatasync(fd: number, done: CallDone): boolean {
    return this.#put(this.#take(board.FDATASYNC, fd, done), 0, 0, 0)
  }

  fallocate(fd: number, mode: number, offset: number, length: number, done: CallDone): boolean {
    return this.#put(this.#take(board.FALLOCATE, fd, done), mode, offset, length)
  }

  /** copy_file_range(2) with both offsets. */
  copyFileRange(from: FilePosition, to: FilePosition, length: number, done: CallDone): boolean {
    const job = this.#take(board.COPY_FILE_RANGE, from.fd, done)
    if (job < 0) return false
    const word = (job * SLOT_BYTES) / Uint32Array.BYTES_PER_ELEMENT
    setU64(this.#words, word, from.offset)
    setU64(this.#words, word + 2, to.offset)
    return this.#put(job, to.fd, this.#slot(job), length)
  }

  /** Calls the `done` of every call that has ended, in the order they ended. Returns how many. */
  poll(): number {
    if (this.#disposed) return 0
    board.listen(this.#control)
    let count = 0
    for (;;) {
      const job = board.takeDone(this.#control, this.#taken)
      if (job < 0) return count
      this.#taken = (this.#taken + 1) | 0
      const done = this.#done[job]
      const result = at(this.#jobs, job * board.JOB_WORDS + board.RESULT)
      this.#done[job] = undefined
      this.#free[this.#freeCount++] = job
      count++
      done?.(result)
    }
  }

  /** Waits until no call is under way, with those that their `done`s begin: nothing touches anybody's memory afterwards. */
  drain(): void {
    while (this.inFlight > 0)
      if (this.poll() === 0) board.waitDone(this.#control, this.#taken, DRAIN_PIECE_MS)
  }

  /** Drains, then ends the threads. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#disposed) return
    this.drain()
    this.#end()
  }

  #end(): void {
    this.#disposed = true
    const ended = board.stopAll(this.#control, this.#workers.length, STOP_MS)
    this.#iovecs[Symbol.dispose]()
    // A thread that still lives may ring, and the number would be somebody else's by then.
    if (ended) close(this.#wakeFd)
  }

  #startThread(entry: URL): Promise<void> {
    const typescript = entry.pathname.endsWith(".ts")
    const workerData: board.PoolThreadData = {
      poolThread: true,
      control: this.#control,
      jobs: this.#jobs,
      wakeFd: this.#wakeFd,
      entry: entry.href,
    }
    const worker = new Worker(typescript ? new URL("../thread/typescript.mjs", import.meta.url) : entry, {
      workerData,
      resourceLimits: typescript ? {} : LIMITS,
      ...(typescript ? { execArgv: ["--conditions=source"] } : {}),
    })
    // It ends with the pool, and does not keep the process for itself.
    worker.unref()
    return new Promise((resolve, reject) => {
      worker.once("message", () => {
        this.#workers.push(worker)
        resolve()
      })
      worker.once("error", reject)
      worker.once("exit", () => reject(new LoopError("crashed", "A thread of a pool ended at once")))
    })
  }

  /** An array of struct iovec in the job's own place, then `offset`. */
  #vectored(job: number, iovecs: number, count: number, offset: number): boolean {
    if (job < 0) return false
    const slot = this.#slot(job)
    copyMemory(slot, iovecs, count * IOVEC.size)
    return this.#put(job, slot, count, offset)
  }

  #slot(job: number): number {
    return this.#iovecs.address + job * SLOT_BYTES
  }

  /** A free job for the call, or -1. */
  #take(operation: number, fd: number, done: CallDone): number {
    if (this.#freeCount === 0 || this.#disposed) return -1
    const job = at(this.#free, --this.#freeCount)
    this.#done[job] = done
    this.#jobs[job * board.JOB_WORDS] = operation
    this.#jobs[job * board.JOB_WORDS + board.FD] = fd
    return job
  }

  /** Queues it with the arguments after the descriptor. */
  #put(job: number, a: number, b: number, c: number): boolean {
    if (job < 0) return false
    const word = job * board.JOB_WORDS + board.FIRST
    this.#jobs[word] = a
    this.#jobs[word + 1] = b
    this.#jobs[word + 2] = c
    board.put(this.#control, job)
    return true
  }
}

/** A place in an open file. */
export interface FilePosition {
  readonly fd: number
  readonly offset: number
}
