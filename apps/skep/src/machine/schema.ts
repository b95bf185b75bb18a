/**
 * The values that describe a machine, with their bounds: shared by settings, machine files and the command line.
 *
 * @module
 */
import type { ShareCache, ShareOwnership, ShareRule } from "@skep/contract"
import { CPUS_MAX, MEMORY_MAX_MIB } from "@skep/launcher/bounds"
import * as z from "zod"

export const MEMORY_MIN_MIB = 512
export const DISK_MIN_GIB = 2
export const DISK_MAX_GIB = 16_384

export type Accelerator = "auto" | "kvm" | "hvf" | "tcg"
/** open: the guest reaches what the host reaches. loopback: nothing but the host. restricted: nothing but the forwards into it. */
export type Policy = "open" | "loopback" | "restricted"
/** Who serves a machine's network. skep: the network of all machines. user: QEMU itself. */
export type Provider = "skep" | "passt" | "gvproxy" | "user"

/** How frames go between a machine and Skep's network. vhost-user: through the machine's memory. stream: over a socket of QEMU's, which any QEMU has. */
export type NetworkLink = "vhost-user" | "stream"

/** Who serves a machine's shares. skep: all of them, added and removed while it runs. virtiofsd: those of its start. */
export type SharesProvider = "skep" | "virtiofsd" | "none"

/** How they get into the guest. auto: by virtiofs, for which every machine has a device. exports: by the NFS server of the host's kernel. */
export type SharesOver = "auto" | "virtiofs" | "nfs" | "exports"

export const SHARES_OVER: readonly SharesOver[] = ["auto", "virtiofs", "nfs", "exports"]
export const SHARES_PROVIDERS: readonly SharesProvider[] = ["skep", "virtiofsd", "none"]
export const CACHES: readonly ShareCache[] = ["consistent", "cached", "delegated"]
export const OWNERSHIPS: readonly ShareOwnership[] = ["virtual", "real"]
const absolute = z.string().regex(/^\/[^\0\n]*$/, "must be an absolute path")

export const POLICIES: readonly Policy[] = ["open", "loopback", "restricted"]
export const PROVIDERS: readonly Provider[] = ["skep", "passt", "gvproxy", "user"]
export const LINKS: readonly NetworkLink[] = ["vhost-user", "stream"]
/** What each can keep a guest to. */
export const KEEPS: Readonly<Record<Provider, readonly Policy[]>> = {
  skep: ["open", "loopback", "restricted"],
  user: ["open", "restricted"],
  passt: ["open", "loopback"],
  gvproxy: ["open"],
}

export const Cpus: z.ZodType<number> = z.int().min(1).max(CPUS_MAX)
export const MemoryMiB: z.ZodType<number> = z.int().min(MEMORY_MIN_MIB).max(MEMORY_MAX_MIB)
export const DiskGiB: z.ZodType<number> = z.int().min(DISK_MIN_GIB).max(DISK_MAX_GIB)
export const Accelerator: z.ZodType<Accelerator> = z.enum(["auto", "kvm", "hvf", "tcg"])
export const Policy: z.ZodType<Policy> = z.enum(["open", "loopback", "restricted"])
export const Provider: z.ZodType<Provider> = z.enum(["skep", "passt", "gvproxy", "user"])
export const NetworkLink: z.ZodType<NetworkLink> = z.enum(["vhost-user", "stream"])
export const SharesProvider: z.ZodType<SharesProvider> = z.enum(["skep", "virtiofsd", "none"])
export const SharesOver: z.ZodType<SharesOver> = z.enum(["auto", "virtiofs", "nfs", "exports"])
export const Cache: z.ZodType<ShareCache> = z.enum(["consistent", "cached", "delegated"])
export const Ownership: z.ZodType<ShareOwnership> = z.enum(["virtual", "real"])
export const Rule: z.ZodType<ShareRule> = z.strictObject({
  path: absolute,
  target: absolute,
  readOnly: z.boolean(),
  cache: Cache,
  ownership: Ownership,
})
