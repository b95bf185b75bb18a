/**
 * What a test left behind: processes, sockets, files and mounts that mention its directory.
 *
 * Linux: proc(5). On other systems only files are seen.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs"
import { readdir } from "node:fs/promises"

/** One line for each thing that mentions `directory`; empty means clean. This process does not count. */
export async function leftoversOf(directory: string): Promise<readonly string[]> {
  return [...processesMentioning(directory), ...mountsUnder(directory), ...(await filesUnder(directory))]
}

/** Processes with `text` in their command line or environment. */
export function processesMentioning(text: string): readonly string[] {
  return numericEntries("/proc").flatMap((pid) => {
    if (pid === String(process.pid)) return []
    const command = read(`/proc/${pid}/cmdline`)
    if (!command.includes(text) && !read(`/proc/${pid}/environ`).includes(text)) return []
    return [`process ${pid}: ${command.replaceAll("\0", " ").trim()}`]
  })
}

function mountsUnder(directory: string): readonly string[] {
  return read("/proc/self/mountinfo")
    .split("\n")
    .filter((line) => line.includes(` ${directory}`))
    .map((line) => `mount ${line}`)
}

async function filesUnder(directory: string): Promise<readonly string[]> {
  try {
    const names = await readdir(directory, { recursive: true })
    return names.map((name) => `file ${directory}/${name}`)
  } catch {
    return [] // the directory itself is gone
  }
}

function numericEntries(directory: string): readonly string[] {
  try {
    return readdirSync(directory).filter((name) => /^\d+$/.test(name))
  } catch {
    return []
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1")
  } catch {
    return "" // gone, or not ours to read
  }
}
