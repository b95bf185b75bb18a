/**
 * The calls of the main thread, answered by a network.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { ArgumentOf, ResultOf } from "@skep/loop"
import type { ThreadCalls } from "../thread/calls.ts"
import type { NetworkThread } from "./network-thread.ts"
import { flowPage, statusOf } from "./report.ts"

export type NetworkHandlers = {
  readonly [Name in keyof ThreadCalls]: (
    argument: ArgumentOf<ThreadCalls, Name>,
  ) => ResultOf<ThreadCalls, Name>
}

/** Those of a thread that may wait. */
export type AnyHandlers = {
  readonly [Name in keyof ThreadCalls]: (
    argument: ArgumentOf<ThreadCalls, Name>,
  ) => ResultOf<ThreadCalls, Name> | Promise<ResultOf<ThreadCalls, Name>>
}

export function handlersOf(network: NetworkThread): NetworkHandlers {
  return {
    addLink: (spec) => network.addLink(spec),
    removeLink: (machine) => network.removeLink(machine),
    forward: (rule) => network.forwards.add(rule),
    unforward: (which) => network.forwards.remove(which),
    forwards: (filter) => network.forwards.list(filter),
    setPolicy: ({ machine, policy }) => network.setPolicy(policy, machine),
    started: () => network.started(),
    status: () => statusOf(network),
    leases: () => [...network.dhcp.leases()],
    editLeases: ({ removed, added, remembered }) =>
      network.changeLeases((dhcp, now) => {
        dhcp.forget(removed, now)
        if (remembered !== undefined) dhcp.remember(remembered, now)
        dhcp.restore(added, now)
      }),
    giveBack: (machine) => network.changeLeases((dhcp, now) => dhcp.giveBack(machine, now)),
    reserve: (kept) => network.changeLeases((dhcp, now) => dhcp.reserve(kept, now)),
    unreserve: (machine) => unreserve(network, machine),
    reservations: () => network.dhcp.remembered().reservations,
    leasesSaved: ({ save, written }) => network.promises.saved(save, written),
    flows: (query) => flowPage(network, query),
    setFaults: ({ machine, faults }) => network.setFaults(faults, machine),
    startCapture: (spec) => network.captures.start(spec),
    stopCapture: ({ machine }) => network.captures.stop(machine),
    captureWritten: (argument) => network.captures.written(argument),
    dnsAnswer: ({ id, bytes }) => network.services.answer(id, bytes),
  }
}

function unreserve(network: NetworkThread, machine: string): string {
  const address = network.changeLeases((dhcp, now) => dhcp.unreserve(machine, now))
  if (address !== undefined) return address
  throw new SidecarError("not-found", `Cannot give up the address of "${machine}": none is reserved for it`)
}
