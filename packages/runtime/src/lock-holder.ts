/**
 * Who holds a lock: its file names the process, so that one that hangs can be found and ended though it answers nobody.
 *
 * What a dead holder wrote stays until the next one writes: an identity that is not alive holds nothing.
 *
 * @module
 */
import { ftruncateSync, readFileSync, writeSync } from "node:fs"
import type { Identity } from "@skep/contract"
import * as z from "zod"
import { errnoOf } from "./files.ts"
import { identityOf, isAlive } from "./identity.ts"

const Holder: z.ZodType<Identity> = z.object({ pid: z.int().min(1), startTime: z.string() })

/** The lock of whoever listens on a private socket. */
export function socketLockOf(socketPath: string): string {
  return `${socketPath}.lock`
}

/** Writes this process into the file of a lock that it holds. A disk that is full costs the name, not the lock. */
export function writeHolder(fd: number): void {
  try {
    ftruncateSync(fd)
    writeSync(fd, `${JSON.stringify(identityOf(process.pid))}\n`)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
}

/** The live process that holds the lock at `path`; undefined where nobody does, or nobody has said so. */
export function readHolder(path: string): Identity | undefined {
  try {
    const parsed = Holder.safeParse(JSON.parse(readFileSync(path, "utf8")))
    return parsed.success && isAlive(parsed.data) ? parsed.data : undefined
  } catch (error) {
    if (error instanceof SyntaxError || errnoOf(error) !== undefined) return undefined
    throw error
  }
}
