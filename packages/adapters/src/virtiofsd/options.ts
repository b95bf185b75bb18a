/**
 * The options of the adapter: those of Skep's own share manager that mean something here, and the program.
 *
 * @module
 */
import { type ShareRule, SidecarError } from "@skep/contract"
import { checkSocketPath, parseShareRule } from "@skep/runtime"
import * as z from "zod"

export interface VirtiofsdOptions {
  readonly machine: string
  /** The vhost-user socket, on which the hypervisor's side connects. */
  readonly socket: string
  /** All that the machine will have: none is added while it runs. */
  readonly shares: readonly ShareRule[]
  /** Paths of the host that nobody sees inside a share. */
  readonly hidden: readonly string[]
  /** Whether there are extended attributes. */
  readonly xattrs: boolean
  /** What the guest mounts by. */
  readonly tag: string
  /** How the guest is reached; see the share manager's options. */
  readonly guest?: { readonly connect: string; readonly cid: number; readonly port: number }
  /** virtiofsd itself: a path, or a name to be found in PATH. Where the distributions have it, unless told. */
  readonly program?: string
  /** Ends the adapter when no hypervisor was connected for so long; 0 for never. */
  readonly lonelyMs: number
}

const absolutePath = z.string().regex(/^\/[^\n\0]*$/, "must be an absolute path")
const SHARES_MAX = 64
const DAY_MS = 86_400_000
const CID_MIN = 3
const U32_MAX = 0xffff_ffff

const Options: z.ZodType<VirtiofsdOptions> = z.object({
  machine: z.string().min(1).max(64),
  socket: absolutePath,
  shares: z
    .array(z.unknown().transform((rule) => parseShareRule(rule)))
    .max(SHARES_MAX)
    .default([]),
  hidden: z.array(absolutePath).max(64).default([]),
  xattrs: z.boolean().default(false),
  tag: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,35}$/i, "must be at most 36 letters, digits, dots, dashes and underscores")
    .default("skep"),
  guest: z
    .strictObject({
      connect: absolutePath,
      cid: z.int().min(CID_MIN).max(U32_MAX),
      port: z.int().min(0).max(U32_MAX).default(1027),
    })
    .exactOptional(),
  program: z.string().min(1).exactOptional(),
  lonelyMs: z.int().min(0).max(DAY_MS).default(0),
})

/** Checks options from outside; those that only Skep's own share manager has are left aside. Throws "bad-options" and "path-too-long". */
export function parseVirtiofsdOptions(input: unknown): VirtiofsdOptions {
  const parsed = Options.safeParse(input)
  if (!parsed.success)
    throw new SidecarError(
      "bad-options",
      `Cannot read the options of virtiofsd: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`,
      { cause: parsed.error },
    )
  checkSocketPath(`${parsed.data.socket}.control`) // the longest
  return parsed.data
}
