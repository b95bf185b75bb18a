/**
 * Temporary directories beside the images, each named after the process that owns it, so that the next build knows
 * those whose owner is gone and clears them away.
 *
 * @module
 */
import { createHash, randomUUID } from "node:crypto"
import { mkdir, readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { identityOf } from "@skep/runtime/identity"
import { TEMPORARY } from "./store.ts"

/** The owner's pid and start, see `startOf`. */
const OWNED = /^\.building-(\d+)-([0-9a-f]{16})-/

/** Makes a directory for this process. Throws "busy" if another living process has one: builds share one apt. */
export async function open(imagesDir: string): Promise<string> {
  await mkdir(imagesDir, { recursive: true })
  const owner = await clear(imagesDir)
  if (owner !== undefined) {
    throw new SidecarError("busy", `Cannot build the guest image: process ${owner} is building it`, {
      next: "Wait for it to end",
    })
  }
  const path = join(imagesDir, `${TEMPORARY}${process.pid}-${startOf(process.pid) ?? 0}-${randomUUID()}`)
  await mkdir(path)
  return path
}

/** Removes the directories of dead processes and what removals left behind; returns a living owner, if there is one. */
async function clear(imagesDir: string): Promise<number | undefined> {
  let living: number | undefined
  for (const name of await readdir(imagesDir)) {
    if (!name.startsWith(TEMPORARY)) continue
    const [, pid = "0", started = ""] = OWNED.exec(name) ?? []
    if (Number(pid) > 0 && startOf(Number(pid)) === started) living = Number(pid)
    else await rm(join(imagesDir, name), { recursive: true, force: true })
  }
  return living
}

/** When a living process started, in letters that a file may have in its name, so that a reused pid is told apart. */
function startOf(pid: number): string | undefined {
  const identity = identityOf(pid)
  return identity && createHash("sha256").update(identity.startTime).digest("hex").slice(0, 16)
}
