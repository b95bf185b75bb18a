/**
 * The loop thread of the sidecar: a network on system calls, and the calls that the main thread makes.
 *
 * @module
 */
import { runLoop } from "@skep/loop/worker"
import { handlersOf } from "./gateway/handlers.ts"
import { loopDriver } from "./gateway/loop-driver.ts"
import { NetworkThread } from "./gateway/network-thread.ts"
import type { ThreadCalls, ThreadData, ThreadNotice } from "./thread/calls.ts"

runLoop<ThreadCalls, ThreadData, ThreadNotice>(({ loop, data, notify }) => {
  const driver = loopDriver(loop, data.limits.maxHeldBytes)
  const network = new NetworkThread({
    driver,
    data,
    // A capture's bytes are in a buffer of their own, which moves.
    notify: (notice) => notify(notice, notice.type === "capture-bytes" ? [notice.bytes.buffer] : []),
  })
  // Before the links go: guests are to hear of the end.
  loop.onDispose(() => network.stop())
  return handlersOf(network)
})
