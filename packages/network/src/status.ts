/**
 * What the network sidecar says of itself, checked where it comes over a control socket.
 *
 * @module
 */
import type { ForwardRule, NetworkMachine, NetworkStatus } from "@skep/contract"
import { parseForwardRule } from "@skep/runtime"
import * as z from "zod"
import type { NetworkPlan } from "./addressing/plan.ts"
import { parsed } from "./bad-options.ts"
import type { KeptAddress } from "./dhcp/remembered.ts"
import { ipAddress, machineName } from "./links/link-schema.ts"
import type { Driver } from "./options.ts"
import { PolicySchema } from "./policy/policy-schema.ts"
import {
  type CaptureStatus,
  type FaultSpec,
  FLOWS_PAGE_MAX,
  type FlowPage,
  type FlowQuery,
  type ForwardEntry,
  type LeaseRecord,
  type MachineEntry,
  type Refused,
  type ThreadStatus,
} from "./thread/calls.ts"

export interface SkepNetworkStatus extends NetworkStatus, Omit<ThreadStatus, "forwards" | "machines"> {
  readonly name: string
  readonly driver: Driver
  readonly plan: NetworkPlan
  readonly machines: readonly (MachineEntry & NetworkMachine)[]
}

/** A refusal as it is kept for readers. */
export interface RefusalLine extends Refused {
  /** Milliseconds since the epoch. */
  readonly atMs: number
}

const count = z.int().min(0)
const text = z.string()
const counters = z.record(text, z.number())
const chance = z.number().min(0).max(1).exactOptional()
const HOUR_MS = 3_600_000

const FaultSchema: z.ZodType<FaultSpec> = z.strictObject({
  partition: z.boolean().exactOptional(),
  loss: chance,
  duplicate: chance,
  reorder: chance,
  corrupt: chance,
  delayMs: z.number().min(0).max(HOUR_MS).exactOptional(),
  jitterMs: z.number().min(0).max(HOUR_MS).exactOptional(),
  bitsPerSecond: z.int().min(1000).exactOptional(),
  seed: z.int().min(0).exactOptional(),
})

const Capture: z.ZodType<CaptureStatus> = z.object({
  machine: text.exactOptional(),
  path: text,
  frames: count,
  bytes: count,
  // One that was started by an earlier build does not say.
  dropped: count.default(0),
})

const Plan: z.ZodType<NetworkPlan> = z.object({
  subnet: text,
  gateway: text,
  host: text,
  subnet6: text,
  gateway6: text,
  host6: text,
  gatewayMac: text,
  mtu: count,
  domain: text,
})

const Machine: z.ZodType<MachineEntry> = z.object({
  name: text,
  kind: z.enum(["vhost-user", "qemu", "tap"]),
  endpoint: text,
  connected: z.boolean(),
  mac: text.exactOptional(),
  address: text.exactOptional(),
  address6: text.exactOptional(),
  mtu: count,
  flows: count,
  // Builds before these did not say.
  keptBytes: count.default(0),
  backlogBytes: count.default(0),
  policy: PolicySchema.exactOptional(),
  faults: FaultSchema.exactOptional(),
  capture: Capture.exactOptional(),
  counters,
})

const Rule: z.ZodType<ForwardRule> = z.unknown().transform(parseForwardRule)

const Status: z.ZodType<SkepNetworkStatus> = z.object({
  name: text,
  driver: z.enum(["loop", "node"]),
  plan: Plan,
  machines: z.array(Machine),
  policy: PolicySchema,
  flows: z.object({ tcp: count, udp: count, icmp: count }),
  forwards: z.array(Rule),
  leases: count,
  refusals: counters,
  memory: z.object({
    heldBytes: count,
    maxHeldBytes: count,
    keptBytes: count.default(0),
    maxKeptBytes: count.default(0),
  }),
  capture: Capture.exactOptional(),
  counters,
})

const Flows: z.ZodType<FlowPage> = z.object({
  flows: z.array(
    z.object({
      id: z.int(),
      machine: text,
      protocol: z.enum(["tcp", "udp", "icmp"]),
      direction: z.enum(["out", "in"]),
      guest: text,
      remote: text,
      state: text,
      ageMs: z.number(),
      idleMs: z.number(),
      bytesOut: z.number(),
      bytesIn: z.number(),
    }),
  ),
  total: count,
})

const Leases: z.ZodType<readonly LeaseRecord[]> = z.array(
  z.object({
    address: text,
    mac: text,
    clientId: text.exactOptional(),
    machine: text.exactOptional(),
    hostName: text.exactOptional(),
    granted: z.number(),
    renewed: z.number(),
    expires: z.number(),
  }),
)

const Kept: z.ZodType<KeptAddress> = z.strictObject({ machine: machineName, address: ipAddress })

const Query: z.ZodType<FlowQuery> = z.strictObject({
  machine: text.exactOptional(),
  limit: z.coerce.number().int().min(1).max(FLOWS_PAGE_MAX).exactOptional(),
  after: z.coerce.number().int().min(0).exactOptional(),
})

const Forwards: z.ZodType<readonly ForwardEntry[]> = z.array(
  z.object({ rule: Rule, sinceMs: z.number(), accepted: count }),
)

const Refusals: z.ZodType<readonly RefusalLine[]> = z.array(
  z.object({
    atMs: z.number(),
    machine: text,
    protocol: z.enum(["tcp", "udp", "icmp", "other"]),
    destination: text,
    port: count,
    reason: text,
    count,
  }),
)

/** Each checks what came over a socket. Throws zod's error for what no build of ours sends. */
export function parseSkepNetworkStatus(value: unknown): SkepNetworkStatus {
  return Status.parse(value)
}

export function parseLeases(value: unknown): readonly LeaseRecord[] {
  return Leases.parse(value)
}

/** Of a verb, or from a control socket. Throws "bad-options". */
export function parseKept(value: unknown): KeptAddress {
  return parsed(Kept, value, "address")
}

export function parseReservations(value: unknown): readonly KeptAddress[] {
  return z.array(Kept).parse(value)
}

export function parseFlows(value: unknown): FlowPage {
  return Flows.parse(value)
}

export function parseForwards(value: unknown): readonly ForwardEntry[] {
  return Forwards.parse(value)
}

export function parseRefusals(value: unknown): readonly RefusalLine[] {
  return Refusals.parse(value)
}

export function parseCaptureStatus(value: unknown): CaptureStatus {
  return Capture.parse(value)
}

/** Checks faults from outside. Throws "bad-options". */
export function parseFaults(input: unknown): FaultSpec {
  return parsed(FaultSchema, input, "faults")
}

/** Checks a query from outside, its numbers as text. Throws "bad-options". */
export function parseFlowQuery(input: unknown): FlowQuery {
  return parsed(Query, input, "query")
}
