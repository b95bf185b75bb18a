/**
 * Leases from outside.
 *
 * @module
 */
import { z } from "zod"
import type { LeaseRecord } from "../thread/calls.ts"

export const LeasesSchema: z.ZodType<readonly LeaseRecord[]> = z.array(
  z.object({
    address: z.string(),
    mac: z.string(),
    clientId: z.string().exactOptional(),
    machine: z.string().exactOptional(),
    hostName: z.string().exactOptional(),
    granted: z.number(),
    renewed: z.number(),
    expires: z.number(),
  }),
)
