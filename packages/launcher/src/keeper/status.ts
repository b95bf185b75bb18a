/**
 * What the keeper tells of its devices.
 *
 * @module
 */
import type { Counters } from "@skep/contract"
import * as z from "zod"

/** As in the diagram of `@skep/vhost-user`'s keeper. */
export type KeptState = "waiting" | "relaying" | "standing-in" | "replaying"

export interface KeptDeviceStatus {
  readonly name: string
  readonly state: KeptState
  /** Whether the guest's driver has its rings running. */
  readonly runs: boolean
}

export interface KeeperStatus {
  readonly devices: readonly KeptDeviceStatus[]
  /** As its options say, for a launcher that did not start it. */
  readonly late: boolean
  readonly counters: Counters
}

const Status: z.ZodType<KeeperStatus> = z.object({
  devices: z.array(
    z.object({
      name: z.string(),
      state: z.enum(["waiting", "relaying", "standing-in", "replaying"]),
      runs: z.boolean(),
    }),
  ),
  late: z.boolean().default(false), // a keeper of an earlier build does not say
  counters: z.record(z.string(), z.number()),
})

/** Checks a status that came over a socket. */
export function parseKeeperStatus(value: unknown): KeeperStatus {
  return Status.parse(value)
}
