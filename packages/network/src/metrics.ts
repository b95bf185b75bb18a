/**
 * What `/metrics` shows of a status beside its counters: what is there now, and each machine's frames.
 *
 * Series are bounded: a fixed number for the network, and as many for each of its machines, of which there are 250 at most. All are there from the
 * start, at 0, so that the first frame that is dropped is an increase.
 *
 * @module
 */
import type { Metric, Sample } from "@skep/runtime"
import type { SkepNetworkStatus } from "./status.ts"
import type { MachineEntry } from "./thread/calls.ts"

/**
 * Frames of a machine that went nowhere, by their counters. One to a machine that had no room is counted by its link, and perhaps by its port as
 * well: the link's is what counts.
 */
const DROPPED: Readonly<Record<string, string>> = {
  malformed: "malformed",
  badSource: "bad_source",
  spoofed: "spoofed",
  taken: "taken",
  guarded: "guarded",
  storm: "storm",
  reserved: "reserved",
  local: "local",
  partitioned: "partitioned",
  tooLong: "too_long",
  unfinished: "unfinished",
  droppedOut: "no_room",
  "fault-lost": "fault_lost",
  "fault-overflowed": "fault_overflowed",
}

/** In the base units of Prometheus, named as it has it. */
export function metricsOf(status: SkepNetworkStatus): readonly Metric[] {
  return [...networkMetrics(status), ...machineMetrics(status.machines)]
}

function networkMetrics({ machines, flows, memory, forwards, leases }: SkepNetworkStatus): Metric[] {
  const up = machines.filter(({ connected }) => connected).length
  return [
    gauge("machines", "Links, by whether a machine is at their other end", [
      { labels: { state: "up" }, value: up },
      { labels: { state: "down" }, value: machines.length - up },
    ]),
    gauge("flows", "TCP connections, UDP and echo associations through the gateway", [
      { labels: { protocol: "tcp" }, value: flows.tcp },
      { labels: { protocol: "udp" }, value: flows.udp },
      { labels: { protocol: "icmp" }, value: flows.icmp },
    ]),
    gauge("forwards", "Host ports that lead to machines", [{ value: forwards.length }]),
    gauge("leases", "Addresses that DHCP has given", [{ value: leases }]),
    gauge("memory_used_bytes", "What is in use of the memory for packets that wait", [
      { value: memory.heldBytes },
    ]),
    gauge("memory_limit_bytes", "The memory for packets that wait", [{ value: memory.maxHeldBytes }]),
    gauge("kept_bytes", "Memory for streams of machines that hosts do not read, or that came early", [
      { value: memory.keptBytes },
    ]),
    gauge("kept_limit_bytes", "What may be kept of all machines' streams", [{ value: memory.maxKeptBytes }]),
  ]
}

function machineMetrics(machines: readonly MachineEntry[]): Metric[] {
  const each = (value: (machine: MachineEntry) => number): Sample[] =>
    machines.map((machine) => ({ labels: { machine: machine.name }, value: value(machine) }))
  const bothWays = (from: string, to: string): Sample[] =>
    machines.flatMap(({ name, counters }) => [
      { labels: { machine: name, direction: "from_machine" }, value: counters[from] ?? 0 },
      { labels: { machine: name, direction: "to_machine" }, value: counters[to] ?? 0 },
    ])
  return [
    gauge(
      "machine_up",
      "Whether a machine is at the other end of its link",
      each(({ connected }) => Number(connected)),
    ),
    gauge(
      "machine_flows",
      "Flows of a machine through the gateway",
      each(({ flows }) => flows),
    ),
    gauge(
      "machine_kept_bytes",
      "Memory for streams of a machine that hosts do not read, or that came early",
      each(({ keptBytes }) => keptBytes),
    ),
    gauge(
      "machine_backlog_bytes",
      "Bytes for a machine that it has not acknowledged, beside those in the hosts' sockets",
      each(({ backlogBytes }) => backlogBytes),
    ),
    counter("machine_frames_total", "Frames over a machine's link", bothWays("framesIn", "framesOut")),
    counter("machine_bytes_total", "Bytes over a machine's link", bothWays("bytesIn", "bytesOut")),
    counter(
      "machine_dropped_frames_total",
      "Frames from or to a machine that went nowhere",
      dropped(machines),
    ),
  ]
}

function dropped(machines: readonly MachineEntry[]): Sample[] {
  return machines.flatMap(({ name, counters }) =>
    Object.entries(DROPPED).map(([counter, reason]) => ({
      labels: { machine: name, reason },
      value: counters[counter] ?? 0,
    })),
  )
}

function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { kind: "gauge", name, help, samples }
}

function counter(name: string, help: string, samples: readonly Sample[]): Metric {
  return { kind: "counter", name, help, samples }
}
