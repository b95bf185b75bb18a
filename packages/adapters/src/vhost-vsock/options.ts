/**
 * The options of the adapter: those of every vsock bridge, and what the kernel has to be told beside.
 *
 * @module
 */
import type { Platform } from "@skep/vsock-host/dialect"
import { type HostOptions, here, hostFields, parseHostOptions, port } from "@skep/vsock-host/options"
import * as z from "zod"

export interface VhostVsockOptions extends HostOptions {
  /** The host's ports that the guest may connect to, beside those of port maps. Unless told, those whose socket is there at the start. */
  readonly services?: readonly number[]
  /** How long the guest may take to accept; 5 s unless told, of which Linux itself gives a guest 2. */
  readonly connectMs?: number
}

const SERVICES_MAX = 1024

const Options: z.ZodType<VhostVsockOptions> = z.strictObject({
  ...hostFields,
  services: z.array(port).max(SERVICES_MAX).exactOptional(),
  connectMs: z.int().min(1).max(600_000).exactOptional(),
})

/** Checks options from outside. Throws "bad-options" and "path-too-long", as those of our own vsock device. */
export function parseVhostVsockOptions(input: unknown, platform: Platform = here): VhostVsockOptions {
  return parseHostOptions(input, { schema: Options, otherPaths: () => [], platform })
}
