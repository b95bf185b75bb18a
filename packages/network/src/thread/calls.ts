/**
 * What the main thread and the loop thread of the sidecar say to each other. The calls are handlers of `runLoop`, the notices its `notify`.
 *
 * ```
 *  main: HTTP, files, DNS by the host  ── call ──►  loop: links, switch, DHCP, NAT, forwards, policy
 *                                      ◄─ notice ─
 * ```
 *
 * All of it is plain data that can be cloned. Addresses are text here, since nothing of it is on the path of a packet. Whatever can grow has a
 * bound that is said beside it; the thread holds to the bound, the main thread relies on it. A handler that refuses throws an error whose
 * `code` is one of the contract's `ErrorCode`, which crosses with its message.
 *
 * @module
 */
import type { ForwardRule } from "@skep/contract"
import type { NetworkPlan } from "../addressing/plan.ts"
import type { Lease } from "../dhcp/lease.ts"
import type { Edits } from "../dhcp/lease-file.ts"
import type { KeptAddress, Remembered } from "../dhcp/remembered.ts"
import type { LinkSpec } from "../links/link-spec.ts"
import type { PolicySpec } from "../policy/policy-spec.ts"

/** As the DHCP server has it, and the lease file. */
export type LeaseRecord = Lease
export type LeaseEdits = Edits

/** Machines of one network. The defaults of other bounds are for so many. */
export const MACHINES_MAX = 250
/** Forwards of one network; a range of ports is as many. */
export const FORWARDS_MAX = 8192
/** Names that machines are reached by: their own, and what their clients call themselves. */
export const NAMES_MAX = 4096
/** Flows in one answer of `flows`. */
export const FLOWS_PAGE_MAX = 1000
/** DNS questions that wait for their answer at one time, of all machines and of one. Beyond it the thread drops the question and counts. */
export const DNS_WAITING_MAX = 1024
export const DNS_WAITING_MACHINE_MAX = 128
/** Bytes of one capture that are on their way to its file. Frames beyond it are dropped and counted. */
export const CAPTURE_UNWRITTEN_MAX: number = 8 << 20
/** Refusals told a second, each once; beyond it they are only counted. */
export const REFUSALS_A_SECOND = 10

/** What the thread is started with. Links and forwards come by calls, so that there is one way for them. */
export interface ThreadData {
  readonly name: string
  readonly plan: NetworkPlan
  readonly policy: PolicySpec
  readonly reservations: readonly Reservation[]
  /** Search domains told by DHCP after the network's own. */
  readonly search: readonly string[]
  /** As the lease file had them. */
  readonly leases: readonly LeaseRecord[]
  /** What the lease file had beside them. */
  readonly remembered: Remembered
  /** The Unix socket that takes DNS over TCP: flows to the gateway's port 53 are led there as they are. */
  readonly dnsSocket: string
  /** Ends the sidecar when no machine was connected for so long. 0 is never. */
  readonly lonelyMs: number
  readonly limits: Limits
}

/** Bounds of the data path. */
export interface Limits {
  /** Flows at one time, of all machines: TCP connections and UDP associations alike. */
  readonly maxFlows: number
  readonly maxFlowsPerMachine: number
  /** Bytes of streams that wait for a machine or a host. */
  readonly maxHeldBytes: number
}

/** An address kept for somebody. Exactly one of `machine`, `mac` and `clientId` is there. */
export interface Reservation {
  readonly machine?: string
  /** `02:00:5e:10:00:01` */
  readonly mac?: string
  /** DHCP option 61 in hexadecimal, its type byte included. */
  readonly clientId?: string
  readonly address: string
}

export interface ThreadCalls {
  /** Resolves to where it listens or what it opened. Codes: "exists" (a machine of that name), "address-in-use", "not-found" (no such interface or namespace), "permission-denied", "busy" (MACHINES_MAX), "unsupported" (this driver has no such link). */
  addLink(spec: LinkSpec): { readonly endpoint: string }
  /** Closes the link with all flows and forwards of its machine; its lease stays. Code "not-found". */
  removeLink(machine: string): void

  /** Opens the listener, or adopts the rule that is there. Codes are those of `NetworkRunning.forward`, and "busy" (FORWARDS_MAX). */
  forward(rule: ForwardRule): ForwardAdded
  /** False where it is gone already, or somebody else's by now. Flows that came in by it live on. */
  unforward(which: ForwardChoice): boolean
  forwards(filter: ForwardFilter): readonly ForwardEntry[]

  /** For one machine, or for all that have none of their own. An undefined policy takes a machine's own away. Flows that it forbids are ended. */
  setPolicy(argument: { readonly machine?: string; readonly policy: PolicySpec | undefined }): void

  /** All that was asked for from the start is there, and others can come: from now on the network may be lonely. */
  started(argument: undefined): void
  status(argument: undefined): ThreadStatus
  /** All there are, those that have ended too. */
  leases(argument: undefined): readonly LeaseRecord[]
  /** Does to the leases what somebody else did to their file. */
  editLeases(edits: LeaseEdits): void
  /** The machine is gone for good: its addresses are free. Returns what it had. Code "busy" (its link is there). */
  giveBack(machine: string): readonly LeaseRecord[]
  /** For that machine alone from now on. Codes "address-in-use" (another machine has it), "exists" (reserved for another), "bad-options", "busy" (too many). */
  reserve(kept: KeptAddress): void
  /** Returns the address. Code "not-found". */
  unreserve(machine: string): string
  reservations(argument: undefined): readonly KeptAddress[]
  /** The leases of that notice, or newer ones, are on the disk, or could not be written. */
  leasesSaved(argument: { readonly save: number; readonly written: boolean }): void
  /** Oldest first, at most FLOWS_PAGE_MAX. The next page is `after` the last id of this one. */
  flows(query: FlowQuery): FlowPage

  /** What is done to the frames of a machine, until told otherwise; undefined ends it. Code "not-found". */
  setFaults(argument: { readonly machine: string; readonly faults: FaultSpec | undefined }): void

  /** Captures frames of a machine, or of all: the file's bytes come as `capture-bytes`. Codes: "busy" (there is one), "not-found". */
  startCapture(spec: CaptureSpec & { readonly file: number }): void
  /** Code "not-found". */
  stopCapture(argument: { readonly machine?: string }): CaptureStatus
  /** So much of a capture's file is written, or it cannot be written any more. */
  captureWritten(argument: { readonly file: number; readonly bytes: number; readonly error?: string }): void

  /** Answers a `dns-query`. Without bytes the question is dropped. Does nothing where nobody waits any more. */
  dnsAnswer(argument: { readonly id: number; readonly bytes?: Uint8Array }): void
}

/** What may come again and again: of each machine five at once, then one in ten seconds. */
export type RepeatedNotice = (
  | { readonly type: "machine-connected"; readonly machine: string }
  | { readonly type: "machine-disconnected"; readonly machine: string; readonly reason: string }
  /** A machine's guest broke the rules of its link, or its link is gone for good. The machine is still there. */
  | { readonly type: "link-broken"; readonly machine: string; readonly reason: string }
  /** An exception of ours, which cost the flow, the link or the callback that it came from. */
  | {
      readonly type: "fault"
      readonly where: string
      readonly machine?: string
      readonly reason: string
      readonly stack?: string
    }
) & {
  /** Like it, and not told: up and down are alike. */
  readonly more?: number
}

export type ThreadNotice =
  | RepeatedNotice
  /** Its link was taken away by `removeLink`. */
  | { readonly type: "machine-removed"; readonly machine: string }
  /** All names under the network's domain that are reached now, at most NAMES_MAX. At most ten times a second: the last one tells all. */
  | { readonly type: "names"; readonly names: readonly NamedAddresses[] }
  /** All leases, for their file: the last one tells all. `leasesSaved` is called with its number, which grows. */
  | {
      readonly type: "leases"
      readonly leases: readonly LeaseRecord[]
      readonly remembered: Remembered
      readonly save: number
    }
  /** A question over UDP. Its id is answered once, by `dnsAnswer`. The bytes are a copy. */
  | {
      readonly type: "dns-query"
      readonly id: number
      readonly machine: string
      readonly bytes: Uint8Array
    }
  /** At most REFUSALS_A_SECOND. */
  | ({ readonly type: "refused" } & Refused)
  /** A forward went without being asked: its machine was removed, or its listener failed. */
  | { readonly type: "forward-closed"; readonly rule: ForwardRule; readonly reason: string }
  | ({ readonly type: "capture-ended"; readonly reason: string } & CaptureStatus)
  /** For the file of a capture, in order: whole blocks, at most CAPTURE_UNWRITTEN_MAX that are not `captureWritten`. The last ones come with the end. */
  | {
      readonly type: "capture-bytes"
      readonly file: number
      readonly bytes: Uint8Array<ArrayBuffer>
      readonly last: boolean
    }
  /** Nobody was connected for `lonelyMs`: the thread ends, and the sidecar with it. */
  | { readonly type: "lonely"; readonly lonelyMs: number }

export interface ForwardAdded {
  /** Another one each time, so that who asked first cannot take it from who asked last. */
  readonly id: number
  readonly rule: ForwardRule
  /** Whether the rule was in place already. */
  readonly adopted: boolean
}

/** One forward: by the id of who asked, or by rule, whoever that was. */
export type ForwardChoice = { readonly id: number } | { readonly rule: ForwardRule }

export interface ForwardFilter {
  readonly machine?: string
  readonly owner?: string
}

export interface ForwardEntry {
  readonly rule: ForwardRule
  /** Milliseconds since the epoch. */
  readonly sinceMs: number
  /** Connections or associations that came in by it, since then. */
  readonly accepted: number
}

/** What is counted of a machine's link: `LinkCounters`, and what its middleware adds. */
export type CounterRecord = Readonly<Record<string, number>>

export interface MachineEntry {
  readonly name: string
  readonly kind: LinkSpec["kind"]
  readonly endpoint: string
  readonly connected: boolean
  /** What the link was last seen to come from; not there before the first frame. */
  readonly mac?: string
  readonly address?: string
  readonly address6?: string
  readonly mtu: number
  /** Flows at this moment. */
  readonly flows: number
  /** Bytes of its streams that hosts have not taken, or that came early: what they take of memory. */
  readonly keptBytes: number
  /** Bytes of hosts that it has not acknowledged, as far as they are not in the hosts' sockets. */
  readonly backlogBytes: number
  /** Its own policy, where it has one. */
  readonly policy?: PolicySpec
  readonly faults?: FaultSpec
  readonly capture?: CaptureStatus
  readonly counters: CounterRecord
}

export interface ThreadStatus {
  /** At most MACHINES_MAX, oldest first. */
  readonly machines: readonly MachineEntry[]
  readonly policy: PolicySpec
  /** At this moment, by protocol. */
  readonly flows: { readonly tcp: number; readonly udp: number; readonly icmp: number }
  readonly forwards: number
  readonly leases: number
  /** Since the start, by reason. */
  readonly refusals: CounterRecord
  readonly memory: {
    /** The heap's bytes that are in use, for streams, queues of links, fragments, and all there are. */
    readonly heldBytes: number
    readonly maxHeldBytes: number
    /** Those kept of all machines' streams, and their bound. */
    readonly keptBytes: number
    readonly maxKeptBytes: number
  }
  readonly capture?: CaptureStatus
  /** Since the start. */
  readonly counters: CounterRecord
}

/** One label, and what it is reached by. */
export interface NamedAddresses {
  readonly name: string
  readonly addresses: readonly string[]
}

export interface FlowQuery {
  readonly machine?: string
  /** At most FLOWS_PAGE_MAX, which it is unless told. */
  readonly limit?: number
  /** Ids grow with time. */
  readonly after?: number
}

export interface FlowPage {
  readonly flows: readonly FlowEntry[]
  /** Of all pages, at this moment. */
  readonly total: number
}

export interface FlowEntry {
  readonly id: number
  readonly machine: string
  readonly protocol: "tcp" | "udp" | "icmp"
  /** Who began: "out" the guest, "in" a forward. */
  readonly direction: "out" | "in"
  /** `192.168.64.2:40112`, `[fd00::2]:40112`; without a port for ICMP. */
  readonly guest: string
  /** What the guest spoke to, before translation. */
  readonly remote: string
  /** As in RFC 9293 for TCP. */
  readonly state: string
  readonly ageMs: number
  readonly idleMs: number
  /** Of payload. Out is from the guest. */
  readonly bytesOut: number
  readonly bytesIn: number
}

/** Each chance is from 0 to 1 and for each frame. Both directions alike. */
export interface FaultSpec {
  /** Nothing gets through. */
  readonly partition?: boolean
  readonly loss?: number
  readonly duplicate?: number
  readonly reorder?: number
  readonly corrupt?: number
  readonly delayMs?: number
  /** Added to the delay, up to so much, evenly. */
  readonly jitterMs?: number
  readonly bitsPerSecond?: number
  /** The same seed and the same frames suffer the same. */
  readonly seed?: number
}

export interface CaptureSpec {
  /** All machines unless told. */
  readonly machine?: string
  /** An absolute path. */
  readonly path: string
  /** The capture ends when the file is that long. */
  readonly maxBytes: number
  /** Of each frame. */
  readonly snapLength: number
}

export interface CaptureStatus {
  readonly machine?: string
  readonly path: string
  readonly frames: number
  readonly bytes: number
  /** Frames that are not in the file, since it was not written fast enough. */
  readonly dropped: number
}

/** One flow that was not let out, or several like it. */
export interface Refused {
  readonly machine: string
  readonly protocol: "tcp" | "udp" | "icmp" | "other"
  /** `169.254.169.254` */
  readonly destination: string
  /** 0 where the protocol has none. */
  readonly port: number
  readonly reason: string
  /** Refusals that were not told of since the line before, this one among them. */
  readonly count: number
}
