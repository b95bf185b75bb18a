/**
 * A loop thread that serves a guest's NIC over vhost-user, with a scripted gateway behind it.
 *
 * @module
 */
import type { LinkCounters, Memory, Offloads } from "@skep/link"
import { VhostNetLink } from "@skep/link/vhost-net"
import { runLoop } from "@skep/loop/worker"
import { listenUnix, Server } from "@skep/vhost-user"
import { type GatewayStatus, ScriptedGateway } from "./scripted-gateway.ts"

export interface NicCalls {
  status(argument: undefined): NicStatus
}

export interface NicStatus extends GatewayStatus {
  readonly counters: LinkCounters
  readonly offloads: Offloads
  readonly interrupts: number
  /** Why the last front end went. */
  readonly ended: string
}

const nothing = (): never => {
  throw new Error("the scripted gateway copies nothing")
}
const NO_MEMORY: Memory = {
  copy: nothing,
  read: nothing,
  write: nothing,
  sum: nothing,
  allocate: nothing,
  free: nothing,
}

runLoop<NicCalls, { readonly socket: string }>(({ loop, data }) => {
  const link = new VhostNetLink({ name: "nic", scope: loop.root, memory: NO_MEMORY })
  const gateway = new ScriptedGateway(link)
  let ended = ""
  link.receiver = gateway
  link.start()
  const server = new Server(loop, {
    device: link,
    fd: listenUnix(data.socket),
    onDisconnect: (reason) => {
      ended = reason
    },
  })
  return {
    status: () => ({
      ...gateway.status,
      counters: { ...link.counters },
      offloads: link.offloads,
      interrupts: server.connection?.session.queues.reduce((all, { interrupts }) => all + interrupts, 0) ?? 0,
      ended,
    }),
  }
})
