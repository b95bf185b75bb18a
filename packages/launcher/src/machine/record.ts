/**
 * vm.json: what a launcher needs to know to take over a machine whose launcher died.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import type { Accelerator, GuestPhase, Identity } from "@skep/contract"
import { errnoOf, isAlive, writeFileWhole } from "@skep/runtime"
import * as z from "zod"
import type { LauncherOptions, MachineNetwork } from "../description.ts"
import { RECORD_NAME } from "../paths.ts"

export interface MachineRecord {
  readonly name: string
  readonly identity: Identity
  readonly accelerator: Accelerator
  readonly argv: readonly string[]
  readonly startedAtMs: number
  /** Whether the guest has printed: only then is it worth taking over. */
  readonly proven: boolean
  readonly phases: readonly GuestPhase[]
  /** Tells whether the options have changed since. */
  readonly fingerprint: string
  /** Records of earlier builds have none: theirs was QEMU's user network. */
  readonly network?: RecordedNetwork
  readonly reason?: string
}

/** What a machine was started with. */
export interface RecordedNetwork {
  readonly kind: MachineNetwork["kind"]
  readonly mac: string
  readonly provider?: string
}

export function networkOf({ kind, mac, ...rest }: MachineNetwork): RecordedNetwork {
  const provider = "provider" in rest ? rest.provider : undefined
  return { kind, mac, ...(provider === undefined ? {} : { provider }) }
}

const Schema: z.ZodType<MachineRecord> = z.object({
  name: z.string(),
  identity: z.object({ pid: z.int().min(1), startTime: z.string() }),
  accelerator: z.enum(["kvm", "hvf", "tcg"]),
  argv: z.array(z.string()),
  startedAtMs: z.number(),
  proven: z.boolean(),
  phases: z.array(z.object({ name: z.string(), atSeconds: z.number() })),
  fingerprint: z.string(),
  network: z
    .object({
      kind: z.enum(["qemu-user", "vhost-user", "stream"]),
      mac: z.string(),
      provider: z.string().exactOptional(),
    })
    .exactOptional(),
  reason: z.string().exactOptional(),
})

/** The record, or undefined when there is none or it is damaged. */
export async function readRecord(path: string): Promise<MachineRecord | undefined> {
  try {
    const parsed = Schema.safeParse(JSON.parse(await readFile(path, "utf8")))
    return parsed.success ? parsed.data : undefined
  } catch (error) {
    if (error instanceof SyntaxError || errnoOf(error) === "ENOENT") return undefined
    throw error
  }
}

/** Whether a hypervisor runs in this run directory, with a launcher or without. */
export async function hypervisorRuns(runDirectory: string): Promise<boolean> {
  const record = await readRecord(join(runDirectory, RECORD_NAME))
  return record !== undefined && isAlive(record.identity)
}

export function fingerprintOf(options: LauncherOptions): string {
  return createHash("sha256").update(JSON.stringify(options)).digest("hex").slice(0, 16)
}

/** Writes records one after the other, each whole. */
export class RecordFile {
  readonly #path: string
  #last: Promise<void> = Promise.resolve()

  constructor(path: string) {
    this.#path = path
  }

  /** A failed write is the caller's to hear; the next one is tried all the same. */
  write(record: MachineRecord): Promise<void> {
    return this.#then(() => writeFileWhole(this.#path, `${JSON.stringify(record, null, 2)}\n`))
  }

  /** Resolves when everything asked for so far is on the disk, or has failed. */
  settled(): Promise<void> {
    return this.#last
  }

  remove(): Promise<void> {
    return this.#then(() => rm(this.#path, { force: true }))
  }

  #then(step: () => Promise<void>): Promise<void> {
    const done = this.#last.then(step)
    this.#last = done.catch(() => undefined) // reported by `done`
    return done
  }
}
