/**
 * epoll(7) as a Poller. The 64 bits of data that come back with an event are a token and a generation.
 *
 * @module
 */
import { Scratch } from "../memory/scratch.ts"
import { at, setU64 } from "../memory/words.ts"
import { type Abi, abiOf, TIMESPEC } from "../sys/abi.ts"
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from "../sys/constants.ts"
import { epollControl, epollCreate, epollWait, epollWaitExact } from "../sys/epoll.ts"
import { EINTR, ENOSYS, EPERM } from "../sys/errno.ts"
import { check } from "../sys/error.ts"
import { close } from "../sys/file.ts"
import type { Poller } from "./poller.ts"

const NS_PER_MS = 1e6
const NS_PER_S = 1e9
/** epoll_wait takes an int. */
const LONGEST_WAIT_MS = 2 ** 31 - 1

export interface EpollOptions {
  /** This processor's unless told. */
  readonly abi?: Abi | undefined
  /** Whether to try epoll_pwait2, which knows fractions of a millisecond; true unless told. */
  readonly exact?: boolean
}

export class Epoll implements Poller {
  readonly #capacity: number
  readonly #scratch: Scratch
  readonly #events: Uint32Array
  readonly #eventsAddress: number
  readonly #one: Uint32Array
  readonly #oneAddress: number
  readonly #timespec: Uint32Array
  readonly #timespecAddress: number
  readonly #stride: number
  readonly #data: number
  #waitExact: typeof epollWaitExact
  #fd: number

  /** `capacity` bounds the events of one batch. */
  constructor(capacity: number, options: EpollOptions = {}) {
    const layout = (options.abi ?? abiOf(process.arch))?.epollEvent ?? { size: 16, data: 8 }
    this.#waitExact = (options.exact ?? true) ? epollWaitExact : undefined
    this.#capacity = capacity
    this.#stride = layout.size / 4
    this.#data = layout.data / 4
    this.#fd = check(epollCreate(), "epoll_create1")
    this.#scratch = new Scratch((capacity + 2) * layout.size + 2 * TIMESPEC.size + 64)
    const events = this.#scratch.region("events", capacity * layout.size)
    const one = this.#scratch.region("event", layout.size)
    const timespec = this.#scratch.region("timespec", TIMESPEC.size)
    this.#events = events.u32
    this.#eventsAddress = events.address
    this.#one = one.u32
    this.#oneAddress = one.address
    this.#timespec = timespec.u32
    this.#timespecAddress = timespec.address
  }

  add(fd: number, events: number, token: number, generation: number): number {
    return this.#control(EPOLL_CTL_ADD, fd, events, token, generation)
  }

  modify(fd: number, events: number, token: number, generation: number): number {
    return this.#control(EPOLL_CTL_MOD, fd, events, token, generation)
  }

  remove(fd: number): number {
    return epollControl(this.#fd, EPOLL_CTL_DEL, fd, this.#oneAddress)
  }

  wait(timeoutMs: number): number {
    const result = this.#wait(timeoutMs)
    // A signal came: the loop looks what time it is and waits again.
    return result === -EINTR ? 0 : result
  }

  eventsAt(index: number): number {
    return at(this.#events, index * this.#stride)
  }

  tokenAt(index: number): number {
    return at(this.#events, index * this.#stride + this.#data)
  }

  generationAt(index: number): number {
    return at(this.#events, index * this.#stride + this.#data + 1)
  }

  reset(): void {
    const next = check(epollCreate(), "epoll_create1")
    close(this.#fd)
    this.#fd = next
  }

  close(): void {
    if (this.#fd < 0) return
    close(this.#fd)
    this.#fd = -1
    this.#scratch[Symbol.dispose]()
  }

  #control(operation: number, fd: number, events: number, token: number, generation: number): number {
    this.#one[0] = events
    this.#one[this.#data] = token
    this.#one[this.#data + 1] = generation
    return epollControl(this.#fd, operation, fd, this.#oneAddress)
  }

  #wait(timeoutMs: number): number {
    if (timeoutMs === 0) return epollWait(this.#fd, this.#eventsAddress, this.#capacity, 0)
    if (timeoutMs === Number.POSITIVE_INFINITY)
      return epollWait(this.#fd, this.#eventsAddress, this.#capacity, -1)
    if (this.#waitExact !== undefined) {
      const ns = Math.ceil(timeoutMs * NS_PER_MS)
      setU64(this.#timespec, TIMESPEC.seconds / 4, Math.floor(ns / NS_PER_S))
      setU64(this.#timespec, TIMESPEC.nanoseconds / 4, ns % NS_PER_S)
      const result = this.#waitExact(this.#fd, this.#eventsAddress, this.#capacity, this.#timespecAddress)
      if (result !== -ENOSYS && result !== -EPERM) return result
      // A kernel older than 5.11, or a filter that does not know the call yet: whole milliseconds then.
      this.#waitExact = undefined
    }
    const ms = Math.min(Math.ceil(timeoutMs), LONGEST_WAIT_MS)
    return epollWait(this.#fd, this.#eventsAddress, this.#capacity, ms)
  }
}
