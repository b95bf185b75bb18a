/**
 * Faults of a machine's network, as they were asked for, put into its link.
 *
 * @module
 */
import type { FaultSpec } from "../thread/calls.ts"
import type { Machine } from "./machines.ts"

/** Puts the faults in place of those that are there; undefined takes them away. */
export function applyFaults(machine: Machine, spec: FaultSpec | undefined): void {
  const { partition = false, seed, ...faults } = spec ?? {}
  machine.faults = spec
  const none = Object.values(faults).every((value) => value === 0)
  machine.link.setFaults(
    none ? undefined : { incoming: faults, outgoing: faults, ...(seed === undefined ? {} : { seed }) },
  )
  // By the switch, which wakes whoever waits for room when it is over.
  machine.port.partitioned = partition || machine.cutOffUntil > 0
}
