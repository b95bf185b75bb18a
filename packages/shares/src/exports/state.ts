/**
 * Whose machines have exports on this host, for those who take back what a crash has left. Reads only, and needs no root.
 *
 * @module
 */
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { errnoOf } from "@skep/runtime/files"
import { blocksIn } from "./blocks.ts"
import { type ExportsSystem, readExportsFile } from "./system.ts"

const OWN_FILE = /^skep-([a-z0-9][a-z0-9-]{0,62})\.exports$/

/** Sorted. Throws "corrupt-file" as `blocksIn`. */
export async function exportedMachines({ platform, etc }: ExportsSystem): Promise<readonly string[]> {
  if (platform === "macos") {
    const { path, content } = await readExportsFile(join(etc, "exports"))
    return [...new Set(blocksIn(content, path).map(({ machine }) => machine))].toSorted()
  }
  const names = await readdir(join(etc, "exports.d")).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return []
    throw error
  })
  return names.flatMap((name) => OWN_FILE.exec(name)?.[1] ?? []).toSorted()
}
