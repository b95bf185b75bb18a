/**
 * What a network says of itself: status, and its flows a page at a time.
 *
 * @module
 */

import * as address from "@skep/wire/address"
import * as ip from "@skep/wire/ip"
import * as mac from "@skep/wire/mac"
import { formatEndpoint } from "../addressing/address.ts"
import { named } from "../counter-names.ts"
import type { Lease } from "../dhcp/index.ts"
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
import { address6Of, ownSourceOf } from "./reached-names.ts"

export function statusOf(network: NetworkThread): ThreadStatus {
  const { flows, memory } = network
  const datagrams = flows.datagrams.table.all()
  const streams = flows.tcp.table.all()
  const counts = sums([...datagrams, ...streams], () => 1)
  const backlogs = sums(streams, ({ backlogBytes }) => backlogBytes)
  const addresses = newestAddresses(network.dhcp.leases())
  const capture = network.captures.status(undefined)
  const icmp = datagrams.filter(({ protocol }) => protocol !== ip.PROTOCOL_UDP).length
  return {
    machines: [...network.machines].map((machine) =>
      machineEntry(network, machine, {
        flows: counts.get(machine.port) ?? 0,
        backlogBytes: backlogs.get(machine.port) ?? 0,
        address: addresses.get(machine.name) ?? ownSourceOf(network, machine),
      }),
    ),
    policy: network.policy,
    flows: { tcp: streams.length, udp: datagrams.length - icmp, icmp },
    forwards: network.forwards.size,
    leases: network.dhcp.leases().length,
    refusals: network.refusals.counts(),
    memory: {
      heldBytes: memory.arena.heap.used,
      maxHeldBytes: memory.arena.heap.length,
      keptBytes: flows.tcp.shares.keptBytes,
      maxKeptBytes: flows.tcp.shares.mostKeptBytes,
    },
    ...(capture === undefined ? {} : { capture }),
    counters: countersOf(network),
  }
}

/** By link. */
function sums<Flow extends AnyFlow>(
  flows: readonly Flow[],
  of: (flow: Flow) => number,
): Map<unknown, number> {
  const sums = new Map<unknown, number>()
  for (const flow of flows) sums.set(flow.link, (sums.get(flow.link) ?? 0) + of(flow))
  return sums
}

/** The address of each machine by its newest lease. */
function newestAddresses(leases: readonly Lease[]): ReadonlyMap<string | undefined, string> {
  const newest = leases.toSorted((one, other) => one.renewed - other.renewed)
  return new Map(newest.map(({ machine, address }) => [machine, address]))
}

interface Known {
  readonly flows: number
  readonly backlogBytes: number
  readonly address: string | undefined
}

function machineEntry(network: NetworkThread, machine: Machine, { address, ...known }: Known): MachineEntry {
  const { port, spec } = machine
  const capture = network.captures.status(machine.name)
  const address6 = address6Of(network, machine)
  return {
    name: machine.name,
    kind: spec.kind,
    endpoint: machine.endpoint,
    connected: port.carrier,
    ...(machine.mac === 0 ? {} : { mac: mac.format(machine.mac) }),
    ...(address === undefined ? {} : { address }),
    ...(address6 === undefined ? {} : { address6 }),
    mtu: port.mtu,
    ...known,
    keptBytes: network.flows.tcp.shares.keptBytesOf(port),
    ...(machine.policy === undefined ? {} : { policy: machine.policy.spec }),
    ...(machine.faults === undefined ? {} : { faults: machine.faults }),
    ...(capture === undefined ? {} : { capture }),
    counters: { ...port.linkCounters, ...port.counters, ...named("fault", machine.link.faultCounts) },
  }
}

function countersOf(network: NetworkThread): CounterRecord {
  const { flows, gateway, dhcp, services, listeners, neighbours, reassembly, errors, containment, promises } =
    network
  return {
    ...named("tcp", flows.tcp.counters),
    ...named("datagram", flows.datagrams.counters),
    ...named("dhcp", dhcp.counters),
    ...named("neighbour", neighbours.counts.snapshot()),
    ...named("guard", network.guard.counts.snapshot()),
    ...named("reassembly", reassembly.counts.snapshot()),
    ...named("icmp", errors.counts.snapshot()),
    ...named("guest-error", gateway.guestErrors.counts.snapshot()),
    ...named("dropped", gateway.reasons.snapshot()),
    "udp-malformed": flows.malformed,
    "udp-bad-checksum": flows.badChecksum,
    "dns-dropped": services.dropped,
    "service-no-memory": flows.noMemory,
    "service-malformed": services.malformed,
    "service-bad-checksum": services.badChecksum,
    "forward-unanswered": listeners.unanswered,
    "dhcp-unsaved": promises.unsaved,
    faults: containment.count,
  }
}

/** Flows by their ids, oldest first. */
export function flowPage(network: NetworkThread, query: FlowQuery): FlowPage {
  const { tcp, datagrams } = network.flows
  const names = new Map<unknown, string>()
  for (const machine of network.machines) names.set(machine.port, machine.name)
  const all = [...tcp.table.all(), ...datagrams.table.all()].filter(
    ({ link }) => query.machine === undefined || names.get(link) === query.machine,
  )
  const limit = Math.min(query.limit ?? FLOWS_PAGE_MAX, FLOWS_PAGE_MAX)
  const { after } = query
  const page = all
    .filter(({ id }) => after === undefined || id > after)
    .toSorted((one, other) => one.id - other.id)
    .slice(0, limit)
  return {
    flows: page.map((flow) => flowEntry(flow, names.get(flow.link) ?? "", network.now)),
    total: all.length,
  }
}

type AnyFlow = ReturnType<NetworkThread["flows"]["tcp" | "datagrams"]["table"]["all"]>[number]

function flowEntry(flow: AnyFlow, machine: string, now: number): FlowEntry {
  const { id, direction, ends, since, usedAt, bytesOut, bytesIn } = flow
  const isEcho = "protocol" in flow && flow.protocol !== ip.PROTOCOL_UDP
  const [guest, remote] = [address.format(ends.guest), address.format(ends.other)]
  return {
    id,
    machine,
    protocol: isEcho ? "icmp" : "protocol" in flow ? "udp" : "tcp",
    direction,
    guest: isEcho ? guest : formatEndpoint(guest, ends.guestPort),
    remote: isEcho ? remote : formatEndpoint(remote, ends.otherPort),
    state: stateOf(flow),
    ageMs: now - since,
    idleMs: now - usedAt,
    bytesOut,
    bytesIn,
  }
}

function stateOf(flow: AnyFlow): string {
  if ("protocol" in flow) return flow.answered ? "answered" : "unanswered"
  return flow.connection?.state ?? "connecting"
}
