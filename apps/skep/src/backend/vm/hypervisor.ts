/**
 * Whether a hypervisor runs in a machine's run directory, with or without its launcher.
 *
 * @module
 */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { errnoOf, isAlive } from "@skep/runtime"
import { z } from "zod"

/** The part of the launcher's vm.json that names the process. */
const VmFile = z.object({ identity: z.object({ pid: z.int(), startTime: z.string(), nonce: z.string() }) })

export async function hypervisorRuns(runDirectory: string): Promise<boolean> {
  try {
    const parsed = VmFile.safeParse(JSON.parse(await readFile(join(runDirectory, "vm.json"), "utf8")))
    return parsed.success && isAlive(parsed.data.identity)
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || error instanceof SyntaxError) return false
    throw error
  }
}
