/**
 * What the network sidecar can be asked, beside the verbs of its role. The same in its process and from another one.
 *
 * @module
 */
import type { ForwardRule, NetworkRunning, NetworkStatus, Running } from "@skep/contract"
import type { KeptAddress } from "./dhcp/remembered.ts"
import type { Zone } from "./dns/names/zone.ts"
import type { LinkSpec } from "./links/link-spec.ts"
import type { PolicySpec } from "./policy/policy-spec.ts"
import type { RefusalLine, SkepNetworkStatus } from "./status.ts"
import type {
  CaptureSpec,
  CaptureStatus,
  FaultSpec,
  FlowPage,
  FlowQuery,
  ForwardEntry,
  ForwardFilter,
  LeaseRecord,
  MachineEntry,
} from "./thread/calls.ts"

export interface NetworkVerbs {
  /**
   * Resolves when the link listens, or its interface is open, with where that is. Codes: "exists" (a machine of that name), "address-in-use",
   * "not-found" (no such interface or namespace), "permission-denied", "busy" (too many machines), "bad-options", "unsupported".
   */
  addLink(spec: LinkSpec): Promise<{ readonly endpoint: string }>
  /** Ends the link, the flows and the forwards of a machine; its lease stays. Code "not-found". */
  removeLink(machine: string): Promise<void>
  links(): Promise<readonly MachineEntry[]>

  /** Oldest first. */
  forwards(filter?: ForwardFilter): Promise<readonly ForwardEntry[]>
  /** By rule, whoever asked for it, unless the rule names another owner. Code "not-found". */
  unforward(rule: ForwardRule): Promise<void>

  /** For all machines without a policy of their own, or for one; undefined takes a machine's own away. Codes "not-found", "bad-options". */
  setPolicy(policy: PolicySpec | undefined, machine?: string): Promise<void>
  leases(): Promise<readonly LeaseRecord[]>
  /**
   * A machine is gone for good: its addresses are free at once, and its own again should it come back before others take them. Resolves to what it
   * had; nothing is no error. Code "busy": its link is there.
   */
  giveBack(machine: string): Promise<readonly LeaseRecord[]>
  /**
   * An address for one machine alone, instead of another one that was; it is in the lease file. A machine that runs with another one gets it when it
   * asks the next time. Codes "bad-options" (not of this network), "exists" (reserved for another), "address-in-use" (another machine has it), "busy" (too many).
   */
  reserve(kept: KeptAddress): Promise<void>
  /** Resolves to the address. Code "not-found". */
  unreserve(machine: string): Promise<string>
  /** Those by `reserve`; also such that are not of the network that it is now, which mean nothing meanwhile. */
  reservations(): Promise<readonly KeptAddress[]>
  flows(query?: FlowQuery): Promise<FlowPage>
  /** The latest, oldest first. */
  refusals(): Promise<readonly RefusalLine[]>
  /** Undefined ends them. Codes "not-found", "bad-options". */
  setFaults(machine: string, faults: FaultSpec | undefined): Promise<void>
  /** Writes over the file that is there. Codes "busy", "not-found", "permission-denied", "bad-options". */
  startCapture(spec: CaptureRequest): Promise<void>
  /** Code "not-found". */
  stopCapture(machine?: string): Promise<CaptureStatus>
  zones(): Promise<readonly Zone[]>
  /** Adds to the zone of that name where there is one: later records and a later default win. Codes "bad-options", "busy". */
  addZone(zone: Zone): Promise<void>
  /** By its name, with or without the dot at its end; with all its records, those of the options too. Code "not-found". */
  removeZone(name: string): Promise<void>
}

/** A capture with its bounds left to us. */
export type CaptureRequest = Pick<CaptureSpec, "machine" | "path"> & Partial<CaptureSpec>

export interface SkepNetwork
  extends Omit<NetworkRunning, keyof Running<NetworkStatus>>,
    Running<SkepNetworkStatus>,
    NetworkVerbs {}

/** One machine's part of a network: what those see who know of one machine only. */
export type MachineNetwork = Pick<NetworkRunning, "forward" | "status">

/** Forwards lead to that machine and belong to `owner`; rules and lists do not name either. */
export function machineNetwork(network: NetworkRunning, machine: string, owner: string): MachineNetwork {
  return {
    forward: async (rule) => {
      const forward = await network.forward({ ...rule, machine, owner })
      return {
        rule: bare(forward.rule),
        [Symbol.asyncDispose]: () => Promise.resolve(forward[Symbol.asyncDispose]()),
      }
    },
    status: async () => {
      const { forwards, machines, counters } = await network.status()
      const own = machines?.find(({ name }) => name === machine)
      return {
        forwards: forwards.filter((rule) => rule.machine === machine && rule.owner === owner).map(bare),
        ...(own === undefined ? {} : { machines: [own] }),
        counters: own?.counters ?? counters,
      }
    },
  }
}

function bare({ machine: _machine, owner: _owner, ...rule }: ForwardRule): ForwardRule {
  return rule
}
