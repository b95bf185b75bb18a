/**
 * What each server has to share: the same repository in a directory of its own, and an archive for all.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { run } from "../home.ts"

const FILES_A_DIRECTORY = 100
const LINES = 40

/** A git repository of `files` small files, committed and packed, at `directory`/repository. */
export async function makeRepository(directory: string, files: number): Promise<void> {
  const repository = join(directory, "repository")
  mkdirSync(repository, { recursive: true })
  writeFiles(repository, files)
  const git = (...words: readonly string[]): Promise<string> =>
    run(
      "git",
      ["-C", repository, "-c", "user.name=bench", "-c", "user.email=bench@localhost", ...words],
      process.env,
    )
  await git("init", "-q", "--initial-branch=main", "--template=")
  await git("add", ".")
  await git("commit", "-q", "-m", "all")
  await git("gc", "-q")
}

/** A tar of `files` small files. */
export async function makeArchive(directory: string, archive: string, files: number): Promise<void> {
  mkdirSync(directory, { recursive: true })
  writeFiles(directory, files)
  await run("tar", ["-cf", archive, "-C", directory, "."], process.env)
}

function writeFiles(directory: string, files: number): void {
  for (let file = 0; file < files; file++) {
    const parent = join(directory, `d${Math.floor(file / FILES_A_DIRECTORY)}`)
    if (file % FILES_A_DIRECTORY === 0) mkdirSync(parent)
    writeFileSync(join(parent, `f${file}.txt`), `line of file ${file}\n`.repeat(1 + (file % LINES)))
  }
}
