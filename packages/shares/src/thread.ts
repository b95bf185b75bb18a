/**
 * The loop thread of the sidecar: the shares, the device that a guest reaches them by, the NFS server.
 *
 * @module
 */
import { SyscallPool } from "@skep/loop"
import { runLoop } from "@skep/loop/worker"
import { serveShares } from "./serving/serve.ts"
import type { ThreadCalls, ThreadData, ThreadNotice } from "./thread/calls.ts"

runLoop<ThreadCalls, ThreadData, ThreadNotice>(async ({ loop, data, notify }) => {
  const { ioThreads } = data.options
  const pool = ioThreads === 0 ? undefined : await SyscallPool.start({ threads: ioThreads })
  return serveShares({ loop, data, pool, notify: (notice) => void notify(notice) })
})
