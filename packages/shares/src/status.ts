/**
 * What the share manager says of itself, checked where it comes over a control socket.
 *
 * @module
 */
import type { SharesRunning, SharesStatus } from "@skep/contract"
import { parseSharesStatus, type Unshare } from "@skep/runtime"
import * as z from "zod"
import type { ShareOwners } from "./owners/verbs.ts"

export interface SkepSharesStatus extends SharesStatus {
  readonly machine: string
  /** Whether a hypervisor, or the keeper before it, is connected. */
  readonly connected: boolean
  /** What the guest mounts by, with virtiofs. */
  readonly tag: string
  /** Where NFS is served: a path, or a port of loopback. */
  readonly nfs?: string | number
}

export interface SkepShares extends SharesRunning, Unshare {
  /** What the machine has said of owners, so that it can move with a copy of the files. */
  readonly owners: ShareOwners
  status(): Promise<SkepSharesStatus>
}

const More = z.object({
  machine: z.string(),
  connected: z.boolean(),
  tag: z.string(),
  nfs: z.union([z.string(), z.int()]).exactOptional(),
})

/** Checks a status that came over a socket. Throws zod's error for one that no build of ours sends. */
export function parseSkepSharesStatus(value: unknown): SkepSharesStatus {
  return { ...parseSharesStatus(value), ...More.parse(value) }
}
