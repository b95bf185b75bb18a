/**
 * What the engine says of a container, as far as published ports need it.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import * as z from "zod"

/** `GET /containers/{id}/json`. */
export interface Inspection {
  readonly Id: string
  readonly Name: string
  readonly State: { readonly Running: boolean }
  readonly HostConfig: { readonly PortBindings?: Bindings | null | undefined }
  readonly NetworkSettings: { readonly Ports?: Bindings | null | undefined }
}

export interface Binding {
  readonly HostIp: string
  /** A number, a range, or empty for any; always a number where it says what was done. */
  readonly HostPort: string
}

/** By container port, such as `80/tcp`; null where it is exposed and not published. */
export type Bindings = Readonly<Record<string, readonly Binding[] | null>>

/** One of `GET /events`. */
export interface EngineEvent {
  readonly Type?: string | undefined
  readonly Actor: {
    readonly ID: string
    readonly Attributes?: Readonly<Record<string, string>> | null | undefined
  }
}

const BINDING = z.object({ HostIp: z.string().default(""), HostPort: z.string().default("") })
const BINDINGS = z.record(z.string(), z.array(BINDING).nullable())

const INSPECTION: z.ZodType<Inspection> = z.object({
  Id: z.string(),
  Name: z.string(),
  State: z.object({ Running: z.boolean() }),
  HostConfig: z.object({ PortBindings: BINDINGS.nullish() }),
  NetworkSettings: z.object({ Ports: BINDINGS.nullish() }),
})

const SUMMARIES: z.ZodType<readonly { Id: string }[]> = z.array(z.object({ Id: z.string() }))

const EVENT: z.ZodType<EngineEvent> = z.object({
  Type: z.string().optional(),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()).nullish() }),
})

/** These throw "protocol" for what no engine says. */
export function parseInspection(value: unknown): Inspection {
  return parse(INSPECTION, value, "a container")
}

export function parseIds(value: unknown): string[] {
  return parse(SUMMARIES, value, "its containers").map(({ Id }) => Id)
}

export function parseEvent(value: unknown): EngineEvent {
  return parse(EVENT, value, "an event")
}

function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new SidecarError(
    "protocol",
    `Cannot read what the Docker engine says of ${what}: ${z.prettifyError(parsed.error)}`,
  )
}
