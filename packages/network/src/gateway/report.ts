/**
 * What a network says of itself: status, and its flows a page at a time.
 *
 * @module
 */

import * as address from "@skep/wire/address"
import * as mac from "@skep/wire/mac"
import { formatEndpoint } from "../addressing/address.ts"
import {
  type CounterRecord,
  FLOWS_PAGE_MAX,
  type FlowEntry,
  type FlowPage,
  type FlowQuery,
  type MachineEntry,
  type ThreadStatus,
} from "../thread/calls.ts"
import type { Machine } from "./machines.ts"
import type { NetworkThread } from "./network-thread.ts"

const ICMP = 1

export function statusOf(network: NetworkThread): ThreadStatus {
  const { flows, memory } = network
  const datagrams = flows.datagrams.table.all()
  const capture = network.captures.status(undefined)
  const icmp = datagrams.filter(({ protocol }) => protocol === ICMP || protocol === 58).length
  return {
    machines: [...network.machines].map((machine) => machineEntry(network, machine)),
    policy: network.policy,
    flows: { tcp: flows.tcp.table.size, udp: datagrams.length - icmp, icmp },
    forwards: network.forwards.size,
    leases: network.dhcp.leases().length,
    refusals: network.refusals.counts(),
    memory: { heldBytes: memory.arena.heap.used, maxHeldBytes: memory.arena.heap.length },
    ...(capture === undefined ? {} : { capture }),
    counters: countersOf(network),
  }
}

function machineEntry(network: NetworkThread, machine: Machine): MachineEntry {
  const { port, spec } = machine
  const address = network.addressOf(machine)
  const capture = network.captures.status(machine.name)
  return {
    name: machine.name,
    kind: spec.kind,
    endpoint: machine.endpoint,
    connected: port.carrier,
    ...(machine.mac === 0 ? {} : { mac: mac.format(machine.mac) }),
    ...(address === undefined ? {} : { address }),
    mtu: port.mtu,
    flows: flowsOf(network).filter((flow) => flow.machine === machine.name).length,
    ...(machine.policy === undefined ? {} : { policy: machine.policy.spec }),
    ...(machine.faults === undefined ? {} : { faults: machine.faults }),
    ...(capture === undefined ? {} : { capture }),
    counters: { ...port.linkCounters, ...port.counters, ...prefixed("fault", machine.link.faultCounts) },
  }
}

function countersOf(network: NetworkThread): CounterRecord {
  const { flows, gateway, dhcp, services, listeners, neighbours, reassembly, errors } = network
  return {
    ...prefixed("tcp", flows.tcp.counters),
    ...prefixed("datagram", flows.datagrams.counters),
    ...prefixed("dhcp", dhcp.counters),
    ...prefixed("neighbour", neighbours.counts.snapshot()),
    ...prefixed("reassembly", reassembly.counts.snapshot()),
    ...prefixed("icmp", errors.counts.snapshot()),
    ...prefixed("dropped", gateway.reasons.snapshot()),
    "udp-malformed": flows.malformed,
    "udp-bad-checksum": flows.badChecksum,
    "dns-dropped": services.dropped,
    "forward-unanswered": listeners.unanswered,
  }
}

function prefixed(prefix: string, counters: object): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counters).map(([name, count]) => [`${prefix}-${name}`, Number(count)]),
  )
}

/** Flows by their ids, oldest first. */
export function flowPage(network: NetworkThread, query: FlowQuery): FlowPage {
  const all = flowsOf(network)
    .filter(({ machine }) => query.machine === undefined || machine === query.machine)
    .toSorted((one, other) => one.id - other.id)
  const limit = Math.min(query.limit ?? FLOWS_PAGE_MAX, FLOWS_PAGE_MAX)
  const { after } = query
  return {
    flows: all.filter(({ id }) => after === undefined || id > after).slice(0, limit),
    total: all.length,
  }
}

function flowsOf(network: NetworkThread): FlowEntry[] {
  const names = new Map<unknown, string>()
  for (const machine of network.machines) names.set(machine.port, machine.name)
  const { now } = network
  const streams = network.flows.tcp.table.all().map((flow) => ({
    id: flow.id,
    machine: names.get(flow.link) ?? "",
    protocol: "tcp" as const,
    direction: flow.direction,
    guest: formatEndpoint(address.format(flow.ends.guest), flow.ends.guestPort),
    remote: formatEndpoint(address.format(flow.ends.other), flow.ends.otherPort),
    state: flow.connection?.state ?? "connecting",
    ageMs: now - flow.since,
    idleMs: now - flow.usedAt,
    bytesOut: flow.bytesOut,
    bytesIn: flow.bytesIn,
  }))
  const datagrams = network.flows.datagrams.table.all().map((flow) => ({
    id: flow.id,
    machine: names.get(flow.link) ?? "",
    protocol: flow.ends.otherPort === 0 ? ("icmp" as const) : ("udp" as const),
    direction: flow.direction,
    guest: formatEndpoint(address.format(flow.ends.guest), flow.ends.guestPort),
    remote: formatEndpoint(address.format(flow.ends.other), flow.ends.otherPort),
    state: flow.answered ? "answered" : "unanswered",
    ageMs: now - flow.since,
    idleMs: now - flow.usedAt,
    bytesOut: flow.bytesOut,
    bytesIn: flow.bytesIn,
  }))
  return [...streams, ...datagrams]
}
