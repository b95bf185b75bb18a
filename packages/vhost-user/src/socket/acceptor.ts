/**
 * Takes clients from a listening socket, one an event, and waits for a while where there is no room for another.
 *
 * A listening socket that nobody accepts from stays readable: without the pause a process that has used up its descriptors would spin.
 *
 * @module
 */
import type { Registration, Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"

/** How long to wait for room; clients wait in the backlog meanwhile. */
const PAUSE_MS = 100
/** The client has gone again: there is nothing to wait for. */
const PASSING: ReadonlySet<number> = new Set([-sys.EAGAIN, -sys.ECONNABORTED])

export interface AcceptorOptions {
  readonly scope: Scope
  /** A listening socket, owned from now on. */
  readonly fd: number
  /** Asked before each client: whether there is room for one. Always, unless told. */
  readonly hasRoom?: () => boolean
  /** A client, non-blocking; its descriptor is the hearer's. */
  readonly onClient: (fd: number) => void
  /** There is no room, or accept(2) failed with this error (EMFILE): once for each pause. */
  readonly onPause?: (error: number | undefined) => void
}

/** Accepts until the scope ends. Where it throws, the descriptor is still the caller's. */
export function acceptClients(options: AcceptorOptions): void {
  const { scope, hasRoom, onClient, onPause } = options
  const resume = scope.timer(() => listening.modify(sys.EPOLLIN))
  const pause = (error?: number): void => {
    listening.modify(0)
    resume.after(PAUSE_MS)
    onPause?.(error)
  }
  const listening: Registration = scope.adopt(options.fd, sys.EPOLLIN, () => {
    if (hasRoom?.() === false) return pause()
    const fd = sys.accept(options.fd, sys.SOCK_NONBLOCK)
    if (fd >= 0) onClient(fd)
    else if (!PASSING.has(fd)) pause(-fd)
  })
}
