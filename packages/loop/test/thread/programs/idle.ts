/**
 * A loop that does nothing, and says so when it ends.
 *
 * @module
 */
import { writeSync } from "node:fs"
import * as sys from "@skep/loop/sys"
import { runLoop } from "@skep/loop/worker"

export interface Idle {
  ping(nothing: undefined): number
  stop(nothing: undefined): undefined
  /** Opens a descriptor of every kind. */
  open(nothing: undefined): undefined
}

runLoop<Idle, boolean>(({ loop, data: quiet }) => {
  // Not console: what goes through the main thread would not arrive when that is at its end.
  if (!quiet) loop.onDispose(() => void writeSync(2, "disposed\n"))
  const pair = new Int32Array(2)
  const own = (...fds: readonly number[]): void => {
    for (const fd of fds) loop.onDispose(() => void sys.close(sys.check(fd, "open")))
  }
  return {
    ping: () => process.pid,
    stop: () => {
      loop.stop()
      return undefined
    },
    open: () => {
      own(sys.eventfd(), sys.epollCreate(), sys.memfdCreate("loop-test"))
      sys.check(sys.pipe(pair), "pipe2")
      own(...pair)
      sys.check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, pair), "socketpair")
      own(...pair)
      return undefined
    },
  }
})
