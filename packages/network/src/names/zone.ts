/**
 * Zones from outside, checked.
 *
 * @module
 */
import { z } from "zod"
import { parsed } from "../bad-options.ts"
import { ipAddress } from "../links/link-schema.ts"
import type { DnsOptions, Zone } from "./name-service.ts"

const NAME_MAX = 255
const RECORDS_MAX = 4096
const ZONES_MAX = 1024
const SERVERS_MAX = 16

const name = z.string().max(NAME_MAX)

/** gvproxy's encoder writes null for what is not there. */
const absent = (value: string | null | undefined): string => value ?? ""

const Schema: z.ZodType<Zone> = z.strictObject({
  Name: name.min(1),
  Records: z
    .array(
      z.strictObject({
        Name: name.nullish().transform(absent),
        IP: ipAddress,
        Regexp: z
          .string()
          .max(NAME_MAX)
          .nullish()
          .transform((text) => text ?? null),
      }),
    )
    .max(RECORDS_MAX)
    .nullish()
    .transform((records) => records ?? []),
  DefaultIP: z
    .union([z.literal(""), ipAddress])
    .nullish()
    .transform(absent),
})

export const DnsSchema: z.ZodType<DnsOptions> = z.strictObject({
  servers: z.array(z.string().min(1).max(NAME_MAX)).max(SERVERS_MAX).default([]),
  zones: z.array(Schema).max(ZONES_MAX).default([]),
  search: z.array(name.min(1)).max(SERVERS_MAX).default([]),
})

/** Throws "bad-options". */
export function parseZone(input: unknown): Zone {
  return parsed(Schema, input, "zone")
}

export const ZonesSchema: z.ZodType<readonly Zone[]> = z.array(Schema)
