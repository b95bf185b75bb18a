/**
 * Who answers a guest's DNS questions, as the sidecar sees it.
 *
 * Questions over UDP come one by one from the loop thread, those over TCP as a stream on a Unix socket that the service listens on.
 *
 * @module
 */
import type { Counters, Log } from "@skep/contract"
import type { NetworkPlan } from "../addressing/plan.ts"
import type { Zone } from "../dns/names/zone.ts"
import type { PolicyMode } from "../policy/policy-spec.ts"
import type { NamedAddresses } from "../thread/calls.ts"

export interface DnsOptions {
  /** Asked in place of the host's own, under the policy "open": addresses, with a port where it is not 53. */
  readonly servers: readonly string[]
  /** Those of one name add up. */
  readonly zones: readonly Zone[]
  /** Told by DHCP beside the network's domain. */
  readonly search: readonly string[]
}

export interface NameServiceOptions {
  readonly plan: NetworkPlan
  readonly dns: DnsOptions
  /** Where it listens for DNS over TCP, 0600. It belongs to the service while it runs. */
  readonly socket: string
  /** Under the network's domain, as they are at this moment. */
  readonly names: () => readonly NamedAddresses[]
  readonly policy: PolicyMode
  readonly log: Log
  readonly signal: AbortSignal
}

/** Disposing it closes the socket and lets go of all that waits. */
export interface NameService extends AsyncDisposable {
  /** Resolves to undefined where there is to be no answer. Never rejects for what a guest says. */
  answer(
    query: Uint8Array,
    from: { readonly transport: "udp"; readonly machine: string },
  ): Promise<Uint8Array | undefined>
  /** From now on, for one machine or all that have no policy of their own; undefined takes a machine's own away. Who is not "open" gets no names from outside. */
  setPolicy(mode: PolicyMode | undefined, machine?: string): void
  zones(): readonly Zone[]
  /** Adds a zone, or its records before those of the zone of that name. Codes "bad-options" and "busy". */
  addZone(zone: Zone): void
  /** Removes the zone of that name, those of the options too. Returns whether there was one. */
  removeZone(name: string): boolean
  counters(): Counters
}

export type StartNameService = (options: NameServiceOptions) => Promise<NameService>
