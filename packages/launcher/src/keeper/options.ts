/**
 * The options of the keeper.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import * as z from "zod"

/** A vhost-user device: QEMU on one side, the program that is the device on the other. */
export interface KeptDevice {
  readonly name: string
  /** Where QEMU listens (`-chardev socket,server=on`). */
  readonly front: string
  /** Where the back end listens. */
  readonly back: string
}

export interface KeeperOptions {
  readonly devices: readonly KeptDevice[]
  /** It ends by itself when no QEMU has been there for so long; 0 for never. */
  readonly lonelyMs: number
  /** Another keeper was there before, so that QEMU may have devices which it tells no keeper of. Only told again by `status`. */
  readonly late: boolean
}

const absolutePath = z.string().regex(/^\/[^\n\0]*$/, "must be an absolute path")

const Options: z.ZodType<KeeperOptions> = z.strictObject({
  devices: z
    .array(
      z.strictObject({
        name: z
          .string()
          .regex(/^[a-z][a-z0-9-]{0,19}$/, "must be at most 20 lower-case letters, digits and dashes"),
        front: absolutePath,
        back: absolutePath,
      }),
    )
    .min(1)
    .max(64)
    .refine(
      (devices) => new Set(devices.map((device) => device.name)).size === devices.length,
      "must have distinct names",
    ),
  lonelyMs: z.int().min(0).max(600_000).default(0),
  late: z.boolean().default(false),
})

/** Throws "bad-options". */
export function parseKeeperOptions(input: unknown): KeeperOptions {
  const parsed = Options.safeParse(input)
  if (parsed.success) return parsed.data
  throw new SidecarError(
    "bad-options",
    `Cannot read the options of the keeper: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`,
    { cause: parsed.error },
  )
}
