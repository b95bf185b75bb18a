/**
 * A socket that is on its way to the guest, with a deadline.
 *
 * @module
 */
import type { Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"

export interface DialOptions {
  readonly scope: Scope
  /** What `GuestSockets.connect` gave; owned until one of the two is called, which is called once. */
  readonly fd: number
  readonly deadlineMs: number
  /** The descriptor is the hearer's now. */
  readonly onConnected: (fd: number) => void
  /** It is closed; `error` is `-errno`. */
  readonly onFailed: (error: number) => void
}

/** Waits until the guest accepted, refused, or did neither in time. The end of the scope closes it, and nobody is called. */
export function awaitConnected({ scope: parent, fd, deadlineMs, onConnected, onFailed }: DialOptions): void {
  const scope = parent.scope("dialing")
  const fail = (error: number): void => {
    scope[Symbol.dispose]()
    onFailed(error)
  }
  const registration = scope.adopt(fd, sys.EPOLLOUT, () => {
    const error = sys.socketError(fd)
    if (error < 0) return fail(error)
    registration.remove()
    scope[Symbol.dispose]()
    onConnected(fd)
  })
  scope.timer(() => fail(-sys.ETIMEDOUT)).after(deadlineMs)
}
