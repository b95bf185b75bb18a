/**
 * An ext4 in memory for everything that is measured, mounted by a loop device: a file system as people have it, without the swings of this machine's disk.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run } from "../home.ts"

const MEMORY = "/dev/shm"
const SIZE = "10G"

export interface RamDisk extends AsyncDisposable {
  /** Private, and empty. */
  readonly directory: string
}

/** Falls back to a directory of the temporary one where the host has no loop devices or no shared memory, and says so. */
export async function ramDisk(progress: (text: string) => void): Promise<RamDisk> {
  const directory = mkdtempSync(join(tmpdir(), "skep-shares-"))
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  let image: string
  try {
    image = join(mkdtempSync(join(MEMORY, "skep-shares-")), "ext4")
  } catch (error) {
    progress(`    on this machine's disk: ${String(error)}`)
    return { directory, [Symbol.asyncDispose]: async () => remove() }
  }
  const parent = join(image, "..")
  try {
    await run("truncate", ["-s", SIZE, image], process.env)
    await run("mkfs.ext4", ["-q", "-F", "-m", "0", image], process.env)
    await run("mount", ["-o", "loop", image, directory], process.env)
  } catch (error) {
    rmSync(parent, { recursive: true, force: true })
    progress(`    on this machine's disk: ${String(error)}`)
    return { directory, [Symbol.asyncDispose]: async () => remove() }
  }
  const own = join(directory, "bench")
  mkdirSync(own, { mode: 0o700 })
  const unmount = (): void => {
    // Lazily: whoever was killed may not have let go of it yet.
    spawnSync("umount", ["-l", directory])
    rmSync(parent, { recursive: true, force: true })
    remove()
  }
  process.once("exit", unmount) // a signal's
  return {
    directory: own,
    [Symbol.asyncDispose]: async () => {
      process.removeListener("exit", unmount)
      unmount()
    },
  }
}
