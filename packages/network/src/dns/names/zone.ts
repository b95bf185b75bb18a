/**
 * A zone from outside, in the form of gvproxy's API, checked.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import * as z from "zod"
import { canonicalAddress } from "../../addressing/address.ts"
import { canonicalName, isHostName } from "../message/name.ts"
import { parsePattern } from "./pattern.ts"

export interface ZoneRecord {
  /** Relative to the zone; "" where `Regexp` says which. */
  readonly Name: string
  readonly IP: string
  readonly Regexp: string | null
}

export interface Zone {
  /** With a dot at its end. */
  readonly Name: string
  readonly Records: readonly ZoneRecord[]
  /** "" is none. */
  readonly DefaultIP: string
}

/** Zones of one network, and records of all of them. */
export const ZONES_MAX = 256
export const RECORDS_MAX = 4096
const optionalText = z
  .string()
  .nullish()
  .transform((text) => text ?? "")
const Input = z.object({
  Name: z.string().max(255),
  Records: z
    .array(
      z.object({
        Name: optionalText,
        IP: z.string(),
        Regexp: z
          .string()
          .nullish()
          .transform((text) => text || null),
      }),
    )
    .max(RECORDS_MAX)
    .nullish()
    .transform((records) => records ?? []),
  DefaultIP: optionalText,
})

/** Checks a zone from outside. Throws "bad-options". */
export function parseZone(input: unknown): Zone {
  const parsed = Input.safeParse(input)
  if (!parsed.success) throw refused("", parsed.error.issues[0]?.message ?? "it is no zone")
  const { Name, Records, DefaultIP } = parsed.data
  const name = canonicalName(Name)
  if (!isHostName(name)) throw refused(Name, "its name is no domain name")
  for (const record of Records) {
    if (record.Regexp === null && !isHostName(record.Name.toLowerCase()))
      throw refused(Name, `"${record.Name}" is no name`)
    const pattern = record.Regexp === null ? undefined : parsePattern(record.Regexp)
    if (pattern !== undefined && "refused" in pattern)
      throw refused(Name, `the pattern "${record.Regexp}" cannot be used: ${pattern.refused}`)
  }
  return {
    Name: `${name}.`,
    Records: Records.map((record) => ({ ...record, IP: address(Name, record.IP) })),
    DefaultIP: DefaultIP === "" ? "" : address(Name, DefaultIP),
  }
}

function address(zone: string, text: string): string {
  const canonical = canonicalAddress(text)
  if (canonical === undefined) throw refused(zone, `"${text}" is no IP address`)
  return canonical
}

function refused(zone: string, reason: string): SidecarError {
  return new SidecarError("bad-options", `Cannot add the zone "${zone}": ${reason}`)
}
