/**
 * The share manager beside QEMU's virtiofsd in C and nfs-ganesha. `shares`: the same guest and loads for all, its own disk as the limit, and events of the
 * host's files in a container. `fileServers`: the servers driven without a guest, so that emulation does not hide the difference.
 *
 * The C programs of the latter are compiled here, from `../shares`. Needs root: virtiofsd, nfs-ganesha, namespaces and loop devices do.
 *
 * @module
 */
import { Cleanup } from "@skep/runtime"
import { namespaces } from "../network/namespaces.ts"
import type { SuiteOptions } from "../options.ts"
import type { Row } from "../row.ts"
import { driven } from "../shares/driven.ts"
import { drivenNfs } from "../shares/driven-nfs.ts"
import { events } from "../shares/events.ts"
import { inGuest } from "../shares/in-guest.ts"
import { ramDisk } from "../shares/ram-disk.ts"
import type { Settings } from "../shares/settings.ts"

const ROUNDS = 3

type Progress = (text: string) => void
type Part = (settings: Settings) => Promise<readonly Row[]>

export async function shares(progress: Progress, options: SuiteOptions): Promise<readonly Row[]> {
  return await parts(progress, options, inGuest, events)
}

export async function fileServers(progress: Progress, options: SuiteOptions): Promise<readonly Row[]> {
  return await parts(progress, options, driven, drivenNfs)
}

async function parts(
  progress: Progress,
  { only, quick, rounds }: SuiteOptions,
  ...each: readonly Part[]
): Promise<readonly Row[]> {
  if (process.getuid?.() !== 0) {
    progress("  skipped: the peers need root")
    return []
  }
  await using cleanup = new Cleanup()
  const { directory } = cleanup.use(await ramDisk(progress))
  const spaces = cleanup.use(await namespaces())
  const settings: Settings = {
    directory,
    namespace: spaces.host,
    rounds: rounds ?? (quick ? 1 : ROUNDS),
    quick,
    wanted: (row) => only.length === 0 || only.some((part) => row.includes(part)),
    progress,
  }
  const rows: Row[] = []
  for (const part of each) rows.push(...(await part(settings)))
  return rows.filter(({ name }) => settings.wanted(name))
}
