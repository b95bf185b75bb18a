/**
 * The adapter's loop thread on the sockets of `unix-sockets.ts`.
 *
 * @module
 */
import { runLoop } from "@skep/loop/worker"
import type { VhostVsockOptions } from "../../src/vhost-vsock/options.ts"
import { setUp, type ThreadCalls } from "../../src/vhost-vsock/set-up.ts"
import { rootOf, unixSockets } from "./unix-sockets.ts"

runLoop<ThreadCalls, VhostVsockOptions>(({ loop, data: options }) =>
  setUp(loop, options, unixSockets(rootOf(options))),
)
