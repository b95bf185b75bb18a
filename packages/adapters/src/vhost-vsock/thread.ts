/**
 * The loop thread of the adapter, on the kernel's sockets.
 *
 * @module
 */
import { runLoop } from "@skep/loop/worker"
import { kernelSockets } from "./guest-sockets.ts"
import type { VhostVsockOptions } from "./options.ts"
import { setUp, type ThreadCalls } from "./set-up.ts"

runLoop<ThreadCalls, VhostVsockOptions>(({ loop, data: options }) =>
  setUp(loop, options, kernelSockets(options.guestCid)),
)
