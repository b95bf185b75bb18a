/**
 * Where the other end of a stream comes from: a Unix socket that we listen on, or one that we connect to, one at a time.
 *
 * @module
 */
import { fchmodSync, statSync, unlinkSync } from "node:fs"
import type { Registration, Scope, Timer } from "@skep/loop"
import * as sys from "@skep/loop/sys"

/** Whose socket is used. A descriptor is owned from then on; the file of `listen` is made by us, for this user only, and goes with us. */
export type StreamEnd =
  | { readonly listen: string }
  /** A listening socket. */
  | { readonly listenFd: number }
  /** Tried again, ever less often, while nobody listens there. */
  | { readonly connect: string }
  /** A connected socket. When it ends the link has ended. */
  | { readonly fd: number }

const BACKLOG = 8
const OWNER_ONLY = 0o600
const RETRY_MIN_MS = 10
const RETRY_MAX_MS = 1000
/** How long to wait where descriptors run short. */
const PAUSE_MS = 100

export interface DoorOptions {
  readonly scope: Scope
  readonly end: StreamEnd
  /** A connected socket that does not block; the hearer's from now on. No other comes until `again`. */
  readonly onPeer: (fd: number) => void
}

export class Door implements Disposable {
  readonly #options: DoorOptions
  readonly #timer: Timer
  #listening: Registration | undefined
  #path: { readonly name: string; readonly inode: bigint } | undefined
  #retryMs = RETRY_MIN_MS
  #closed = false

  constructor(options: DoorOptions) {
    this.#options = options
    this.#timer = options.scope.timer(() => this.again())
  }

  /** Throws the `SystemError` of what refused. */
  open(): void {
    const { end, onPeer, scope } = this.#options
    if ("fd" in end) {
      sys.check(sys.setNonblocking(end.fd, true), "fcntl")
      onPeer(end.fd)
    } else if ("connect" in end) this.again()
    else {
      const fd = "listen" in end ? this.#bind(end.listen) : end.listenFd
      this.#listening = scope.adopt(fd, sys.EPOLLIN, () => this.#accept(fd))
    }
  }

  /** The peer has gone: the next one is welcome. `spoke` is whether it was one. */
  again(spoke = false): void {
    if (this.#closed) return
    this.#listening?.modify(sys.EPOLLIN)
    const { end } = this.#options
    if (!("connect" in end)) return
    // The end of one that spoke may be a restart: be there soon, yet not at once.
    if (spoke) {
      this.#retryMs = RETRY_MIN_MS
      this.#timer.after(this.#retryMs)
    } else this.#connect(end.connect)
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    this.#timer.cancel()
    this.#listening?.close()
    if (this.#path !== undefined && inodeOf(this.#path.name) === this.#path.inode) unlinkSync(this.#path.name)
  }

  #bind(path: string): number {
    const fd = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
    try {
      // unix(7): the file gets the mode of its socket, so that it is never open to others, not even for a moment.
      fchmodSync(fd, OWNER_ONLY)
      sys.check(sys.bind(fd, { family: "unix", path }), "bind", path)
      this.#path = { name: path, inode: inodeOf(path) ?? 0n }
      sys.check(sys.listen(fd, BACKLOG), "listen", path)
      return fd
    } catch (error) {
      sys.close(fd)
      throw error
    }
  }

  #accept(fd: number): void {
    const peer = sys.accept(fd, sys.SOCK_NONBLOCK)
    if (peer >= 0) {
      this.#listening?.modify(0)
      this.#options.onPeer(peer)
    } else if (peer !== -sys.EAGAIN && peer !== -sys.ECONNABORTED) {
      this.#listening?.modify(0)
      this.#timer.after(PAUSE_MS)
    }
  }

  #connect(path: string): void {
    const fd = sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK)
    const result = fd < 0 ? fd : sys.connect(fd, { family: "unix", path })
    if (result === 0) {
      this.#options.onPeer(fd)
      return
    }
    if (fd >= 0) sys.close(fd)
    this.#timer.after(this.#retryMs)
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS)
  }
}

function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino
}
