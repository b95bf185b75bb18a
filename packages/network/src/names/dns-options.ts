/**
 * What the options say of names, checked.
 *
 * @module
 */
import * as z from "zod"
import { parseZone, ZONES_MAX, type Zone } from "../dns/names/zone.ts"
import type { DnsOptions } from "./name-service.ts"

const NAME_MAX = 255
const SERVERS_MAX = 16

/** Throws "bad-options" where one of them is none. */
export const ZonesSchema: z.ZodType<readonly Zone[]> = z
  .array(z.unknown().transform((input) => parseZone(input)))
  .max(ZONES_MAX)

export const DnsSchema: z.ZodType<DnsOptions> = z.strictObject({
  servers: z.array(z.string().min(1).max(NAME_MAX)).max(SERVERS_MAX).default([]),
  zones: ZonesSchema.default([]),
  search: z.array(z.string().min(1).max(NAME_MAX)).max(SERVERS_MAX).default([]),
})
