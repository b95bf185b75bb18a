/**
 * Temporary directories beside the images, each named after the process that owns it, so that the next build knows
 * those whose owner is gone and clears them away.
 *
 * @module
 */
import { randomUUID } from "node:crypto"
import { mkdir, readdir, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { TEMPORARY } from "./store.ts"

const OWNED = /^\.building-(\d+)-(\d+)-/
/** In /proc/PID/stat, counted after the program's name in parentheses. */
const START_TIME = 19

/** Makes a directory for this process. Throws "busy" if another living process has one: builds share one apt. */
export async function open(imagesDir: string): Promise<string> {
  await mkdir(imagesDir, { recursive: true })
  const owner = await clear(imagesDir)
  if (owner !== undefined) {
    throw new SidecarError("busy", `Cannot build the guest image: process ${owner} is building it`, {
      next: "Wait for it to end",
    })
  }
  const path = join(
    imagesDir,
    `${TEMPORARY}${process.pid}-${(await startTime(process.pid)) ?? 0}-${randomUUID()}`,
  )
  await mkdir(path)
  return path
}

/** Removes the directories of dead processes and what removals left behind; returns a living owner, if there is one. */
async function clear(imagesDir: string): Promise<number | undefined> {
  let living: number | undefined
  for (const name of await readdir(imagesDir)) {
    if (!name.startsWith(TEMPORARY)) continue
    const [, pid = "0", started = ""] = OWNED.exec(name) ?? []
    if (Number(pid) > 0 && (await startTime(Number(pid))) === started) living = Number(pid)
    else await rm(join(imagesDir, name), { recursive: true, force: true })
  }
  return living
}

/** When a process started, in ticks, so that a reused pid is told apart; where the kernel does not tell, whether it is. */
async function startTime(pid: number): Promise<string | undefined> {
  try {
    if (process.platform !== "linux") {
      process.kill(pid, 0)
      return "0"
    }
    const stat = await readFile(`/proc/${pid}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[START_TIME]
  } catch {
    // No such process, or none that we may ask.
    return undefined
  }
}
