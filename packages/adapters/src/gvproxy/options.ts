/**
 * The options of the adapter: where QEMU's stream connects, and what gvproxy takes.
 *
 * @module
 */
import { type ForwardRule, SidecarError } from "@skep/contract"
import { checkSocketPath, parseForwardRule } from "@skep/runtime"
import * as z from "zod"

export interface GvproxyOptions {
  /** Where gvproxy listens for QEMU's `-netdev stream`. */
  readonly socket: string
  readonly mtu: number
  /** In place from the start, and for as long as it runs. */
  readonly forwards: readonly ForwardRule[]
  /** A name to be found in PATH, or a path. */
  readonly program: string
  /** It ends by itself when no machine has been there for so long; 0 for never. */
  readonly lonelyMs: number
}

/** RFC 8200's smallest, and the largest that QEMU and virtio take. */
const MTU = { least: 1280, most: 65_520 }

const Options: z.ZodType<GvproxyOptions> = z.strictObject({
  socket: z.string().regex(/^\/[^\n\0]*$/, "must be an absolute path"),
  mtu: z.int().min(MTU.least).max(MTU.most).default(MTU.most),
  forwards: z
    .array(z.unknown().transform((rule) => parseForwardRule(rule)))
    .max(1024)
    .default([]),
  program: z.string().min(1).default("gvproxy"),
  lonelyMs: z.int().min(0).max(600_000).default(0),
})

/** Checks options from outside. Throws "bad-options" and "path-too-long". */
export function parseGvproxyOptions(input: unknown): GvproxyOptions {
  const parsed = Options.safeParse(input)
  if (!parsed.success)
    throw new SidecarError(
      "bad-options",
      `Cannot read the options of gvproxy: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`,
      { cause: parsed.error },
    )
  checkSocketPath(`${parsed.data.socket}.control`) // the longest
  return parsed.data
}
