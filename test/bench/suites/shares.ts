/**
 * The share manager beside QEMU's virtiofsd in C and nfs-ganesha: the same guest and loads for all, its own disk as the limit, and the servers driven
 * without a guest, so that emulation does not hide the difference.
 *
 * The C program of the latter is compiled here, from `../shares`. Needs root: virtiofsd, nfs-ganesha and namespaces do.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cleanup } from "@skep/runtime"
import { namespaces } from "../network/namespaces.ts"
import type { Row } from "../row.ts"
import { driven } from "../shares/driven.ts"
import { drivenNfs } from "../shares/driven-nfs.ts"
import { inGuest } from "../shares/in-guest.ts"
import type { Settings } from "../shares/settings.ts"
import type { NetworkOptions } from "./network.ts"

export async function shares(
  progress: (text: string) => void,
  { only, quick }: NetworkOptions,
): Promise<readonly Row[]> {
  if (process.getuid?.() !== 0) {
    progress("  skipped: the peers need root")
    return []
  }
  const directory = mkdtempSync(join(tmpdir(), "skep-shares-"))
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  process.once("exit", remove) // a signal's
  try {
    await using cleanup = new Cleanup()
    const spaces = cleanup.use(await namespaces())
    const settings: Settings = {
      directory,
      namespace: spaces.host,
      rounds: quick ? 1 : 5,
      quick,
      wanted: (row) => only.length === 0 || only.some((part) => row.includes(part)),
      progress,
    }
    mkdirSync(join(directory, "driven"))
    const rows = [...(await driven(settings)), ...(await drivenNfs(settings)), ...(await inGuest(settings))]
    return rows.filter(({ name }) => settings.wanted(name))
  } finally {
    remove()
    process.removeListener("exit", remove)
  }
}
