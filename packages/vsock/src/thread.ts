/**
 * The loop thread of the sidecar: the device, its sockets, the socket of the front end.
 *
 * @module
 */
import { rmSync } from "node:fs"
import { runLoop } from "@skep/loop/worker"
import { listenUnix, Server } from "@skep/vhost-user"
import { Bridge } from "./bridge/bridge.ts"
import { HOST_PORT_FIRST, HOST_PORT_LAST } from "./device/streams.ts"
import { watchCompany } from "./lonely.ts"
import type { VsockOptions } from "./options.ts"

export interface ThreadStatus {
  /** Whether a front end is connected. */
  readonly connected: boolean
  readonly streams: number
  readonly orphans: number
  readonly heldBytes: number
  readonly counters: Readonly<Record<string, number>>
}

export interface ThreadCalls {
  status(argument: undefined): ThreadStatus
}

export type ThreadNotice =
  | { readonly type: "connected" }
  | { readonly type: "disconnected"; readonly reason: string }
  /** Nobody was connected for `lonelyMs`: the sidecar ends. */
  | { readonly type: "lonely"; readonly lonelyMs: number }
  /** The guest broke the rules of its queue; a reset of the device starts it anew. */
  | { readonly type: "broken"; readonly queue: number; readonly reason: string }

runLoop<ThreadCalls, VsockOptions, ThreadNotice>(({ loop, data: options, notify }) => {
  const scope = loop.scope("vsock")
  const bridge = new Bridge(scope, options, firstHostPort())
  const { lonelyMs } = options
  const company = watchCompany(scope, lonelyMs, () => {
    notify({ type: "lonely", lonelyMs })
    loop.stop()
  })
  const server = new Server(loop, {
    device: bridge.device,
    fd: listenUnix(options.socket),
    onConnect: () => {
      company.came()
      notify({ type: "connected" })
    },
    onDisconnect: (reason) => {
      company.left()
      notify({ type: "disconnected", reason })
    },
    onBroken: ({ index }, reason) => void notify({ type: "broken", queue: index, reason }),
  })
  scope.onDispose(() => rmSync(options.socket, { force: true }))
  // Before the queues stop: the guest is to hear of the end.
  loop.onDispose(() => bridge.device.stop())
  return {
    status: () => ({
      connected: server.connection !== undefined,
      streams: bridge.device.streams.size,
      orphans: bridge.device.streams.orphans,
      heldBytes: bridge.device.streams.heldBytes,
      counters: { ...bridge.device.streams.counts(), ...bridge.counters, ...bridge.refusals },
    }),
  }
})

/** Another place at each start: a guest that outlived the last one may remember the ports that it gave out. */
function firstHostPort(): number {
  return HOST_PORT_FIRST + Math.floor(Math.random() * (HOST_PORT_LAST - HOST_PORT_FIRST))
}
