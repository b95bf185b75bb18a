/**
 * Leases as a list in a JSON file: read once at the start, then written whole whenever they changed.
 *
 * @module
 */
import { readFile } from "node:fs/promises"
import { describeFileError, errnoOf, writeFileWhole } from "@skep/runtime"
import type { LeaseRecord } from "../thread/calls.ts"
import { LeasesSchema } from "./lease-schema.ts"
import type { LeaseStore, LeaseStoreOptions } from "./lease-store.ts"

/** What is no list of leases counts as none. */
export async function openLeaseFile({ path, log }: LeaseStoreOptions): Promise<LeaseStore> {
  const found = await read(path)
  let next: readonly LeaseRecord[] | undefined
  let writing: Promise<void> | undefined
  const run = async (): Promise<void> => {
    for (let leases = next; leases !== undefined; leases = next) {
      next = undefined
      try {
        await writeFileWhole(path, `${JSON.stringify(leases, undefined, 2)}\n`)
      } catch (error) {
        log.info("cannot write the leases", { path, reason: String(error) })
      }
    }
    writing = undefined
  }
  return {
    found,
    save: (leases) => {
      next = leases
      writing ??= run()
    },
    [Symbol.asyncDispose]: async () => {
      await writing
    },
  }
}

async function read(path: string): Promise<readonly LeaseRecord[]> {
  let text: string
  try {
    text = await readFile(path, "utf8")
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return []
    throw describeFileError("read", path, error)
  }
  try {
    return LeasesSchema.parse(JSON.parse(text))
  } catch {
    return []
  }
}
