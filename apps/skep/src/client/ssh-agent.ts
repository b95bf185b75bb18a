/**
 * Which SSH agent guests are led to: a link in the run directory, kept by every `skep` command that knows one. So a machine follows the agent
 * of the session that used Skep last, and a new login needs no restart of anything.
 *
 * @module
 */
import { readlink, rename, rm, symlink } from "node:fs/promises"
import { isAbsolute } from "node:path"
import type { Home } from "../home/paths.ts"

/** Points the link to `$SSH_AUTH_SOCK`, if that is set. Best effort: without it the guest has the agent it had, or none. */
export async function shareSshAgent(
  { sshAgent }: Home,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const wanted = env["SSH_AUTH_SOCK"]
  if (wanted === undefined || !isAbsolute(wanted)) return
  if ((await readlink(sshAgent).catch(() => undefined)) === wanted) return
  const temporary = `${sshAgent}.${process.pid}`
  try {
    await symlink(wanted, temporary)
    await rename(temporary, sshAgent)
  } catch {
    await rm(temporary, { force: true })
  }
}
