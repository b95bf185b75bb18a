/**
 * The options of the vsock sidecar.
 *
 * @module
 */
import type { Platform } from "@skep/vsock-host/dialect"
import {
  absolutePath,
  type HostOptions,
  here,
  hostFields,
  hostPaths,
  parseHostOptions,
} from "@skep/vsock-host/options"
import * as z from "zod"
import { DEFAULT_LIMITS, type StreamLimits } from "./device/streams.ts"

export interface VsockOptions extends HostOptions {
  /** The vhost-user socket, on which the hypervisor's side connects. */
  readonly socket: string
  readonly limits: StreamLimits
  /** Ends the sidecar when no front end was connected for so long, from its start or the last hang-up on. 0 is never. */
  readonly lonelyMs: number
}

const milliseconds = z.int().min(1).max(600_000)
const DAY_MS = 86_400_000

const Limits: z.ZodType<StreamLimits> = z.strictObject({
  maxStreams: z.int().min(1).max(65_536).default(DEFAULT_LIMITS.maxStreams),
  bufferBytes: z
    .int()
    .min(4096)
    .max(1 << 24)
    .default(DEFAULT_LIMITS.bufferBytes),
  maxHeldBytes: z.int().min(4096).default(DEFAULT_LIMITS.maxHeldBytes),
  maxReplies: z.int().min(1).max(65_536).default(DEFAULT_LIMITS.maxReplies),
  connectMs: milliseconds.default(DEFAULT_LIMITS.connectMs),
  lingerMs: milliseconds.default(DEFAULT_LIMITS.lingerMs),
})

const Options: z.ZodType<VsockOptions> = z.strictObject({
  ...hostFields,
  socket: absolutePath,
  limits: Limits.prefault({}),
  lonelyMs: z.int().min(0).max(DAY_MS).default(0),
})

/**
 * Checks options from outside, with the device strings of `devices` among them. Throws "bad-options" with one sentence that names the field
 * and its value, and "path-too-long" for sockets that `platform`, this one unless told, could not bind.
 */
export function parseVsockOptions(input: unknown, platform: Platform = here): VsockOptions {
  return parseHostOptions(input, { schema: Options, otherPaths: ({ socket }) => [socket], platform })
}

/** Every path that the sidecar creates. */
export function ownPaths(options: VsockOptions): readonly string[] {
  return [options.socket, ...hostPaths(options)]
}

/** Where the streams are noted that the guest knows of, for a successor; there only while there are any. */
export function journalPath({ socket }: VsockOptions): string {
  return `${socket}.streams`
}
