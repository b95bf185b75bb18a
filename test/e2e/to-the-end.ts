/**
 * Containers that run to their end, however long that takes: an emulated machine on a busy host may need minutes for what else takes seconds, and a
 * docker command is ended before (skep.ts).
 *
 * @module
 */
import { vi } from "vitest"
import type { Skep } from "./skep.ts"

const MOST_MS = 480_000
const LOOK_MS = 1000

/** `docker run` with these arguments, which returns what the container has said on stdout; throws where that ended with another status than 0. */
export async function runToTheEnd(skep: Skep, args: readonly string[]): Promise<string> {
  const { stdout } = await skep.docker(["run", "-d", ...args])
  const container = stdout.trim()
  try {
    const state = async (): Promise<string> =>
      (await skep.docker(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", container])).stdout.trim()
    await vi.waitUntil(async () => (await state()).startsWith("exited"), {
      timeout: MOST_MS,
      interval: LOOK_MS,
    })
    const log = await skep.docker(["logs", container])
    const ended = await state()
    if (ended !== "exited 0") throw new Error(`${args.join(" ")}: ${ended}\n${log.stdout}\n${log.stderr}`)
    return log.stdout.trim()
  } finally {
    await skep.docker(["rm", "-f", container])
  }
}
