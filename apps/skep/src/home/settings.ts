/**
 * The user's settings: defaults for new machines, in `$SKEP_HOME/settings.json`. Everything in it is optional.
 *
 * @module
 */
import { readFile } from "node:fs/promises"
import { availableParallelism, totalmem } from "node:os"
import { SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"
import * as z from "zod"
import {
  Accelerator,
  Cpus,
  DiskGiB,
  MemoryMiB,
  Policy,
  Provider,
  SharesOver,
  SharesProvider,
} from "../machine/schema.ts"
import { HOME_SHARE, SHARES_MAX, ShareWish } from "../machine/share-rules.ts"

const SettingsFile = z.strictObject({
  cpus: Cpus.optional(),
  memoryMiB: MemoryMiB.optional(),
  diskGiB: DiskGiB.optional(),
  accelerator: Accelerator.optional(),
  networkPolicy: Policy.optional(),
  /** Who serves the networks of new machines; Skep's own unless told. */
  network: Provider.optional(),
  /** Where ports are published that name no address; "0.0.0.0" opens them to the network. */
  publishAddress: z.ipv4().optional(),
  /** Whether guests reach the user's SSH agent, at /run/host-services/ssh-auth.sock. */
  sshAgent: z.boolean().optional(),
  /** What new machines have of the host; the home directory unless told, and nothing with []. */
  shares: z.array(ShareWish).max(SHARES_MAX).optional(),
  /** Who serves the shares of new machines; Skep's own unless told. */
  sharesProvider: SharesProvider.optional(),
  /** How the shares of new machines get into them. */
  shareProtocol: SharesOver.optional(),
  /** Whether the shares of new machines have extended attributes. */
  shareXattrs: z.boolean().optional(),
})

export interface Settings {
  readonly cpus: number
  readonly memoryMiB: number
  readonly diskGiB: number
  readonly accelerator: Accelerator
  readonly networkPolicy: Policy
  readonly network: Provider
  readonly publishAddress: string
  readonly sshAgent: boolean
  readonly shares: readonly ShareWish[]
  readonly sharesProvider: SharesProvider
  readonly shareProtocol: SharesOver
  readonly shareXattrs: boolean
}

const MEMORY_DEFAULT_MIB = 2048
const DISK_DEFAULT_GIB = 20
const CPUS_DEFAULT_MAX = 4

/** Reads the settings, with defaults for what is not set. Throws "corrupt-file" and says where. */
export async function readSettings(path: string): Promise<Settings> {
  const parsed = SettingsFile.safeParse(await readJson(path))
  if (!parsed.success) throw corrupt(path, z.prettifyError(parsed.error))
  const set = parsed.data
  return {
    cpus: set.cpus ?? Math.min(CPUS_DEFAULT_MAX, availableParallelism()),
    memoryMiB: set.memoryMiB ?? Math.min(MEMORY_DEFAULT_MIB, Math.floor(totalmem() / 2 ** 21)),
    diskGiB: set.diskGiB ?? DISK_DEFAULT_GIB,
    accelerator: set.accelerator ?? "auto",
    networkPolicy: set.networkPolicy ?? "open",
    network: set.network ?? "skep",
    publishAddress: set.publishAddress ?? "127.0.0.1",
    sshAgent: set.sshAgent ?? true,
    shares: set.shares ?? [HOME_SHARE],
    sharesProvider: set.sharesProvider ?? "skep",
    shareProtocol: set.shareProtocol ?? "auto",
    shareXattrs: set.shareXattrs ?? false,
  }
}

async function readJson(path: string): Promise<unknown> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"))
    return value
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return {}
    throw corrupt(path, error instanceof Error ? error.message : String(error))
  }
}

function corrupt(path: string, reason: string): SidecarError {
  return new SidecarError(
    "corrupt-file",
    `Cannot read the settings "${path}": ${reason.replaceAll("\n", " ")}`,
    {
      next: `Mend ${path}, or move it away to go back to the defaults`,
    },
  )
}
