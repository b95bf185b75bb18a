/**
 * The sidecar in a process of its own, which outlives the one that starts it: `import … from "@skep/network/client"`.
 *
 * Loads neither the loop nor its native code, so that programs which only start, adopt and ask stay light.
 *
 * @module
 */
import type { Instance, Sidecar, SidecarEvent } from "@skep/contract"
import { adopt, networkClient, type Remote, type SpawnCommand, spawn } from "@skep/runtime"
import * as z from "zod"
import { ZonesSchema } from "./names/dns-options.ts"
import { controlSocketOf, type NetworkOptions, parseNetworkOptions } from "./options.ts"
import {
  parseCaptureStatus,
  parseFlows,
  parseForwards,
  parseKept,
  parseLeases,
  parseRefusals,
  parseReservations,
  parseSkepNetworkStatus,
  type SkepNetworkStatus,
} from "./status.ts"
import type { SkepNetwork } from "./verbs.ts"

export type { NetworkPlan } from "./addressing/plan.ts"
export { giveBackInFile, reserveInFile } from "./dhcp/lease-edit.ts"
export type { KeptAddress } from "./dhcp/remembered.ts"
export type { Zone, ZoneRecord } from "./dns/names/zone.ts"
export { parseForwardSpec } from "./forward/forward-spec.ts"
export { parseLinkSpec } from "./links/link-schema.ts"
export type { GatewayService, LinkSpec } from "./links/link-spec.ts"
export { controlSocketOf, type NetworkOptions, parseNetworkOptions } from "./options.ts"
export type { PolicyMode, PolicySpec, PortRange } from "./policy/policy-spec.ts"
export { parseSkepNetworkStatus, type RefusalLine, type SkepNetworkStatus } from "./status.ts"
export type {
  CaptureStatus,
  FaultSpec,
  FlowEntry,
  FlowPage,
  FlowQuery,
  ForwardEntry,
  ForwardFilter,
  LeaseRecord,
  MachineEntry,
} from "./thread/calls.ts"
export {
  type CaptureRequest,
  type MachineNetwork,
  machineNetwork,
  type NetworkVerbs,
  type SkepNetwork,
} from "./verbs.ts"

/** How to run the sidecar's `main`: `node network.js`, or from source with the flags of a loader. */
export interface NetworkCommand
  extends Pick<
    SpawnCommand<NetworkOptions, SkepNetworkStatus>,
    "file" | "args" | "env" | "stderr" | "endWithParent"
  > {
  /** The control socket; `controlSocketOf` unless told. */
  readonly control?: (options: NetworkOptions) => string
}

/** A network in another process. Disposing it stops that process. */
export interface RemoteNetwork extends SkepNetwork {
  readonly identity: Instance
  /** Stops watching and leaves the sidecar running. `closed` never settles after this. */
  release(): void
}

/** A sidecar whose `start` runs a process. */
export function networkProcess(
  command: NetworkCommand,
): Sidecar<NetworkOptions, SkepNetworkStatus, RemoteNetwork> {
  return spawn<NetworkOptions, SkepNetworkStatus, RemoteNetwork>(
    {
      name: "network",
      control: controlSocketOf,
      ...command,
      parseOptions: (input) => parseNetworkOptions(input),
      parseStatus: parseSkepNetworkStatus,
    },
    remoteNetwork,
  )
}

export interface AdoptNetwork {
  /** The control socket of the sidecar. */
  readonly control: string
  readonly signal: AbortSignal
  readonly emit?: (event: SidecarEvent) => void
}

/** Connects to a sidecar that runs. Rejects with "unreachable" when there is none, "timeout" when it does not answer. */
export async function adoptNetwork(options: AdoptNetwork): Promise<RemoteNetwork> {
  return remoteNetwork(await adopt({ ...options, parseStatus: parseSkepNetworkStatus }))
}

const Added = z.object({ endpoint: z.string() })

function remoteNetwork(remote: Remote<SkepNetworkStatus>): RemoteNetwork {
  const role = networkClient(remote)
  const request: Remote<unknown>["request"] = (...asked) => remote.request(...asked)
  return {
    ...remote,
    forward: (rule) => role.forward(rule),
    addLink: async (spec) => Added.parse(await request("POST", "/links", spec)),
    removeLink: async (machine) => {
      await request("DELETE", `/links/${encodeURIComponent(machine)}`)
    },
    links: async () => (await remote.status()).machines,
    forwards: async (filter = {}) =>
      parseForwards(await request("GET", withQuery("/forwards/detail", { ...filter }))),
    unforward: async (rule) => {
      await request("DELETE", "/forwards", rule)
    },
    setPolicy: async (policy, machine) => {
      const path = machine === undefined ? "/policy" : `/policy/${encodeURIComponent(machine)}`
      await request(policy === undefined ? "DELETE" : "PUT", path, policy)
    },
    leases: async () => parseLeases(await request("GET", "/leases")),
    giveBack: async (machine) =>
      parseLeases(await request("DELETE", `/leases/${encodeURIComponent(machine)}`)),
    reserve: async ({ machine, address }) => {
      await request("PUT", `/reservations/${encodeURIComponent(machine)}`, { address })
    },
    unreserve: async (machine) =>
      parseKept(await request("DELETE", `/reservations/${encodeURIComponent(machine)}`)).address,
    reservations: async () => parseReservations(await request("GET", "/reservations")),
    flows: async (query = {}) => parseFlows(await request("GET", withQuery("/flows", { ...query }))),
    refusals: async () => parseRefusals(await request("GET", "/refusals")),
    setFaults: async (machine, faults) => {
      const path = `/faults/${encodeURIComponent(machine)}`
      await request(faults === undefined ? "DELETE" : "PUT", path, faults)
    },
    startCapture: async (capture) => {
      await request("POST", "/capture", capture)
    },
    stopCapture: async (machine) =>
      parseCaptureStatus(
        await request("DELETE", withQuery("/capture", machine === undefined ? {} : { machine })),
      ),
    zones: async () => ZonesSchema.parse(await request("GET", "/dns")),
    addZone: async (zone) => {
      await request("POST", "/dns", zone)
    },
    removeZone: async (name) => {
      await request("DELETE", `/dns/${encodeURIComponent(name)}`)
    },
  }
}

function withQuery(path: string, fields: Readonly<Record<string, string | number>>): string {
  const query = new URLSearchParams(
    Object.entries(fields).map(([name, value]): [string, string] => [name, String(value)]),
  )
  return query.size === 0 ? path : `${path}?${query.toString()}`
}
