/**
 * A small root with the programs of the loads, as a disk for the guest: this host's own, with the libraries that they name.
 *
 * @module
 */
import { copyFileSync, existsSync, mkdirSync, realpathSync, symlinkSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { run } from "../home.ts"

const PROGRAMS = [
  "fio",
  "git",
  "sqlite3",
  "tar",
  "find",
  "cat",
  "sh",
  "wc",
  "sync",
  "xargs",
  "rm",
  "mkdir",
  "dd",
]
/** Where the guest mounts what is measured, and what programs expect of a root. */
const DIRECTORIES = ["work", "proc", "dev", "tmp", "sys", "etc", "root"]

/** Makes an erofs image of them at `image`; `directory` is for its parts. */
export async function buildTools(directory: string, image: string): Promise<void> {
  for (const name of DIRECTORIES) mkdirSync(join(directory, name), { recursive: true })
  mkdirSync(join(directory, "bin"), { recursive: true })
  for (const program of PROGRAMS) {
    const path = (await run("sh", ["-c", 'command -v "$1"', "sh", program], process.env)).trim()
    copyFileSync(realpathSync(path), join(directory, "bin", program))
    for (const library of await librariesOf(path)) copyOnce(library, join(directory, library))
  }
  // What git runs of itself to clone from a directory.
  for (const name of ["git-upload-pack", "git-receive-pack", "git-upload-archive"])
    symlinkSync("git", join(directory, "bin", name))
  await run("mkfs.erofs", [image, directory], process.env)
}

async function librariesOf(program: string): Promise<readonly string[]> {
  const text = await run("ldd", [realpathSync(program)], process.env)
  return text.split("\n").flatMap((line) => /(?:=> )?(\/\S+) \(/.exec(line)?.[1] ?? [])
}

function copyOnce(from: string, to: string): void {
  if (existsSync(to)) return
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(realpathSync(from), join(dirname(to), basename(to)))
}
