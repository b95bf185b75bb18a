/**
 * The values that describe a machine, with their bounds: shared by settings, machine files and the command line.
 *
 * @module
 */
import { CPUS_MAX, MEMORY_MAX_MIB } from "@skep/launcher/bounds"
import { z } from "zod"

export const MEMORY_MIN_MIB = 512
export const DISK_MIN_GIB = 2
export const DISK_MAX_GIB = 16_384

export type Accelerator = "auto" | "kvm" | "hvf" | "tcg"
/** open: the guest reaches what the host reaches. loopback: the host's own services. restricted: nothing but the forwards into it. */
export type Policy = "open" | "loopback" | "restricted"
/** Who is the machine's network: Skep's own sidecar, or QEMU's user network. */
export type Provider = "skep" | "user"

export const Cpus: z.ZodType<number> = z.int().min(1).max(CPUS_MAX)
export const MemoryMiB: z.ZodType<number> = z.int().min(MEMORY_MIN_MIB).max(MEMORY_MAX_MIB)
export const DiskGiB: z.ZodType<number> = z.int().min(DISK_MIN_GIB).max(DISK_MAX_GIB)
export const Accelerator: z.ZodType<Accelerator> = z.enum(["auto", "kvm", "hvf", "tcg"])
export const Policy: z.ZodType<Policy> = z.enum(["open", "loopback", "restricted"])
export const Provider: z.ZodType<Provider> = z.enum(["skep", "user"])
