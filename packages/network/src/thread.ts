/**
 * The loop thread of the sidecar: a network, and the calls that the main thread makes.
 *
 * @module
 */

import { runLoop } from "@skep/loop/worker"
import { NetworkThread } from "./gateway/network-thread.ts"
import { flowPage, statusOf } from "./gateway/report.ts"
import type { ThreadCalls, ThreadData, ThreadNotice } from "./thread/calls.ts"

runLoop<ThreadCalls, ThreadData, ThreadNotice>(({ loop, data, notify }) => {
  const network = new NetworkThread({ loop, data, notify: (notice) => notify(notice) })
  // Before the links go: guests are to hear of the end.
  loop.onDispose(() => network.stop())
  return {
    addLink: (spec) => network.addLink(spec),
    removeLink: (machine) => network.removeLink(machine),
    forward: (rule) => network.forwards.add(rule),
    unforward: (which) => network.forwards.remove(which),
    forwards: (filter) => network.forwards.list(filter),
    setPolicy: ({ machine, policy }) => network.setPolicy(policy, machine),
    status: () => statusOf(network),
    leases: () => [...network.dhcp.leases()],
    editLeases: (edits) => network.editLeases(edits),
    flows: (query) => flowPage(network, query),
    setFaults: ({ machine, faults }) => network.setFaults(faults, machine),
    startCapture: (spec) => network.captures.start(spec),
    stopCapture: ({ machine }) => network.captures.stop(machine),
    dnsAnswer: ({ id, bytes }) => network.services.answer(id, bytes),
  }
})
