/**
 * Loop threads when the process ends.
 *
 * Node ends its workers by joining them, which would wait for ever for one that is blocked in epoll_wait. So at "exit" (process.exit(), the end of all work,
 * an uncaught exception) each is asked to stop, and gets a moment to run its disposers. A signal that kills needs none of this.
 *
 * @module
 */
import { RUNNING, STATE } from "./protocol.ts"

/** Long enough to unlink some sockets; a loop that does not come back by then is joined by Node as it is. */
const GRACE_MS = 2000

export interface Stoppable {
  readonly control: Int32Array
  /** Asks the thread to stop; must not throw. */
  ask(): void
}

/** One for the process, as "exit" is: a listener for each thread would run into the limit of ten. */
const threads = new Set<Stoppable>()

/** Stops `thread` at the end of the process. Returns the undoing, for when it has ended. */
export function stopAtExit(thread: Stoppable): () => void {
  if (threads.size === 0) process.on("exit", stopAll)
  threads.add(thread)
  return () => {
    threads.delete(thread)
    if (threads.size === 0) process.off("exit", stopAll)
  }
}

function stopAll(): void {
  for (const thread of threads) thread.ask()
  const end = performance.now() + GRACE_MS
  for (const { control } of threads)
    Atomics.wait(control, STATE, RUNNING, Math.max(0, end - performance.now()))
}
