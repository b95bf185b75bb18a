/**
 * `machine.json`: what a machine is, whatever hypervisor runs it. Written whole or not at all.
 *
 * @module
 */
import { randomBytes } from "node:crypto"
import { readFile } from "node:fs/promises"
import { type ShareRule, SidecarError } from "@skep/contract"
import { CPUS_MAX, MEMORY_MAX_MIB } from "@skep/launcher/bounds"
import { errnoOf, writeFileWhole } from "@skep/runtime/files"
import * as z from "zod"
import type { Settings } from "../home/settings.ts"
import {
  Accelerator,
  Cpus,
  DISK_MAX_GIB,
  DISK_MIN_GIB,
  DiskGiB,
  KEEPS,
  MEMORY_MIN_MIB,
  MemoryMiB,
  NetworkLink,
  Policy,
  Provider,
  Rule,
  SharesOver,
  SharesProvider,
} from "./schema.ts"
import { SHARES_MAX, ShareWish } from "./share-rules.ts"

const VERSION = 1
/** 0 to 2 are reserved, 2 is the host. */
const CID_FIRST = 3

export interface MachineRecord {
  readonly version: 1
  readonly name: string
  /** ISO 8601. */
  readonly createdAt: string
  readonly cpus: number
  readonly memoryMiB: number
  readonly diskGiB: number
  readonly accelerator: Accelerator
  readonly networkPolicy: Policy
  /** Machines of earlier builds say nothing: theirs is QEMU's own until their next start, then Skep's. */
  readonly network?: Provider
  /** Of Skep's network; vhost-user where that is to be had, unless told. */
  readonly networkLink?: NetworkLink
  /** The program, where it serves the machine's network; the one in PATH unless told. */
  readonly gvproxy?: string
  /** Locally administered, and the machine's for good. */
  readonly mac: string
  /** The loopback port that leads to the guest's sshd. Kept, so that editors and ssh_config stay right. */
  readonly sshPort: number
  /** The guest's address on its vsock, above 2; machines of earlier builds get one at their next start. */
  readonly guestCid?: number
  /** Directories of the host that it has; machines of earlier builds get those of the settings at their next start. */
  readonly shares?: readonly ShareRule[]
  /** Skep's own unless told. */
  readonly sharesProvider?: SharesProvider
  /** "auto" unless told. */
  readonly shareProtocol?: SharesOver
  /** Whether its shares have extended attributes; they have none unless told. */
  readonly shareXattrs?: boolean
}

const RecordFile: z.ZodType<MachineRecord> = z.strictObject({
  version: z.literal(VERSION),
  name: z.string(),
  createdAt: z.iso.datetime(),
  cpus: Cpus,
  memoryMiB: MemoryMiB,
  diskGiB: DiskGiB,
  accelerator: Accelerator,
  networkPolicy: Policy,
  network: Provider.exactOptional(),
  networkLink: NetworkLink.exactOptional(),
  gvproxy: z.string().min(1).exactOptional(),
  mac: z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/),
  sshPort: z.int().min(1).max(65_535),
  guestCid: z
    .int()
    .min(CID_FIRST)
    .max(2 ** 32 - 2)
    .exactOptional(),
  shares: z.array(Rule).max(SHARES_MAX).exactOptional(),
  sharesProvider: SharesProvider.exactOptional(),
  shareProtocol: SharesOver.exactOptional(),
  shareXattrs: z.boolean().exactOptional(),
})

/** What a user may choose and change. Absent means: leave as it is, or the default for a new machine. */
export interface Changes {
  readonly cpus?: number
  readonly memoryMiB?: number
  readonly diskGiB?: number
  readonly accelerator?: Accelerator
  readonly networkPolicy?: Policy
  readonly network?: Provider
  readonly networkLink?: NetworkLink
  readonly gvproxy?: string
  readonly sharesProvider?: SharesProvider
  readonly shareProtocol?: SharesOver
  readonly shareXattrs?: boolean
  /** Beside the shares that it has: those of the settings, where it is new. */
  readonly share?: readonly ShareWish[]
  /** Whether it has the home directory; false takes that away. */
  readonly homeShare?: boolean
}

// Their bounds are checked when they meet the record, with a sentence for each.
export const Changes: z.ZodType<Changes> = z.strictObject({
  cpus: z.number().exactOptional(),
  memoryMiB: z.number().exactOptional(),
  diskGiB: z.number().exactOptional(),
  accelerator: Accelerator.exactOptional(),
  networkPolicy: Policy.exactOptional(),
  network: Provider.exactOptional(),
  networkLink: NetworkLink.exactOptional(),
  gvproxy: z.string().min(1).exactOptional(),
  sharesProvider: SharesProvider.exactOptional(),
  shareProtocol: SharesOver.exactOptional(),
  shareXattrs: z.boolean().exactOptional(),
  share: z.array(ShareWish).max(SHARES_MAX).exactOptional(),
  homeShare: z.boolean().exactOptional(),
})

/** Reads a machine file. Returns undefined when there is none; throws "corrupt-file" with what is wrong. */
export async function readRecord(path: string): Promise<MachineRecord | undefined> {
  let text: string
  try {
    text = await readFile(path, "utf8")
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined
    throw error
  }
  try {
    return RecordFile.parse(JSON.parse(text))
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error)
    throw new SidecarError(
      "corrupt-file",
      `Cannot read the machine file "${path}": ${reason.replaceAll("\n", " ")}`,
      {
        cause: error,
        next: `Mend ${path} (the disk data.img beside it is untouched), or remove the machine with skep rm --force`,
      },
    )
  }
}

export async function writeRecord(path: string, record: MachineRecord): Promise<void> {
  await writeFileWhole(path, `${JSON.stringify(record, undefined, 2)}\n`)
}

/** A new machine from the user's choices and the settings. Throws "too-small", "bad-options" and "unsupported". */
export function newRecord(
  name: string,
  changes: Changes,
  settings: Settings,
  sshPort: number,
): MachineRecord {
  const chosen = { ...settings, ...changes }
  const { cpus, memoryMiB, diskGiB, accelerator, networkPolicy, network } = chosen
  const { sharesProvider, shareProtocol, shareXattrs } = chosen
  checkBounds(changes)
  return whole(name, {
    version: VERSION,
    name,
    createdAt: new Date().toISOString(),
    cpus,
    memoryMiB,
    diskGiB,
    accelerator,
    networkPolicy,
    network,
    ...(changes.networkLink === undefined ? {} : { networkLink: changes.networkLink }),
    ...(changes.gvproxy === undefined ? {} : { gvproxy: changes.gvproxy }),
    mac: newMac(),
    sshPort,
    sharesProvider,
    shareProtocol,
    shareXattrs,
  })
}

/** The record with the changes applied, but those of its shares, for which the host is to be looked at. Throws "too-small", "shrink-refused", "bad-options" and "unsupported". */
export function changed(record: MachineRecord, changes: Changes): MachineRecord {
  checkBounds(changes)
  checkGrowth(record, changes)
  const { share: _share, homeShare: _homeShare, ...plain } = changes
  return whole(record.name, { ...record, ...plain })
}

function whole(name: string, record: MachineRecord): MachineRecord {
  const parsed = RecordFile.safeParse(record)
  if (parsed.success) {
    checkPolicy(parsed.data)
    checkShareProtocol(parsed.data)
    return parsed.data
  }
  throw new SidecarError(
    "bad-options",
    `Cannot make "${name}" such a machine: ${z.prettifyError(parsed.error)}`,
  )
}

/** Throws "bad-options" for a policy that nobody would keep. */
function checkPolicy({ name, network = "skep", networkPolicy }: MachineRecord): void {
  const kept = KEEPS[network]
  if (kept.includes(networkPolicy)) return
  throw new SidecarError(
    "bad-options",
    `Cannot give "${name}" the network ${network} with the policy ${networkPolicy}: it keeps ${kept.join(" or ")} only`,
    { next: `Say both, as in --network ${network},${kept.at(-1) ?? ""}` },
  )
}

/** Throws "unsupported": only Skep's own share manager has them mounted over NFS, and only Skep's network leads one machine, and no other, to a server. */
function checkShareProtocol({ name, network = "skep", sharesProvider, shareProtocol }: MachineRecord): void {
  const isNfs = shareProtocol === "nfs" || shareProtocol === "exports"
  if (!isNfs || sharesProvider === "none") return
  if (sharesProvider === "virtiofsd") {
    throw new SidecarError("unsupported", `Cannot give "${name}" its shares over NFS: virtiofsd has none`, {
      next: "Say --shares skep too, or --share-protocol auto",
    })
  }
  if (network === "skep") return
  throw new SidecarError(
    "unsupported",
    `Cannot give "${name}" its shares over NFS: the network ${network} has no way to ${shareProtocol === "nfs" ? "its own" : "the host's"} server`,
    { next: "Say --network skep too, or --share-protocol auto" },
  )
}

/** Throws "shrink-refused": the file system inside would be cut. */
function checkGrowth(record: MachineRecord, { diskGiB }: Changes): void {
  if (diskGiB === undefined || diskGiB >= record.diskGiB) return
  throw new SidecarError(
    "shrink-refused",
    `Cannot shrink the disk of the machine "${record.name}" from ${record.diskGiB} GiB to ${diskGiB} GiB: a disk only grows`,
    { next: `Leave --disk away, or make a new machine with: skep up NAME --disk ${diskGiB}g` },
  )
}

/** Throws "too-small" for a machine that could not work, "bad-options" for one that no hypervisor could have. */
export function checkBounds(changes: Changes): void {
  checkBound(changes.cpus, { what: "processors", unit: "", least: 1, most: CPUS_MAX, example: "--cpus 2" })
  checkBound(changes.memoryMiB, {
    what: "of memory",
    unit: "MiB ",
    least: MEMORY_MIN_MIB,
    most: MEMORY_MAX_MIB,
    example: "--memory 2g",
  })
  checkBound(changes.diskGiB, {
    what: "of disk",
    unit: "GiB ",
    least: DISK_MIN_GIB,
    most: DISK_MAX_GIB,
    example: "--disk 20g",
  })
}

/** The smallest address that no other machine has: 3 for the first, as Docker.app had it. */
export function freeCid(others: Iterable<number | undefined>): number {
  const taken = new Set(others)
  let cid = CID_FIRST
  while (taken.has(cid)) cid++
  return cid
}

/** The fields that differ and matter to a running machine. */
export function differences(before: MachineRecord, after: MachineRecord): readonly string[] {
  const fields = [
    "cpus",
    "memoryMiB",
    "diskGiB",
    "accelerator",
    "networkPolicy",
    "network",
    "networkLink",
    "gvproxy",
    "sharesProvider",
    "shareProtocol",
    "shareXattrs",
  ] as const
  return fields.filter((field) => before[field] !== after[field])
}

interface Bound {
  readonly what: string
  readonly unit: string
  readonly least: number
  readonly most: number
  readonly example: string
}

function checkBound(value: number | undefined, { what, unit, least, most, example }: Bound): void {
  if (value === undefined || (value >= least && value <= most)) return
  const few = value < least
  throw new SidecarError(
    few && least > 1 ? "too-small" : "bad-options",
    `Cannot give a machine ${value} ${unit}${what}: it ${few ? `needs at least ${least}` : `can have at most ${most}`} ${unit}`.trim(),
    { next: `Ask for ${few ? "more" : "less"}, such as skep up ${example}` },
  )
}

/** Locally administered, unicast (IEEE 802), under the prefix that QEMU uses. */
function newMac(): string {
  const tail = randomBytes(3).toString("hex").match(/../g) ?? []
  return ["52", "54", "00", ...tail].join(":")
}
