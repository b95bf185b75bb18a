/**
 * Builds what the tests run: the programs as they ship, and where there is a compiler the stand-in for QEMU's end of a stream.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    /** The stand-in for QEMU, or "" where there is none. */
    cable: string
  }
}

const root = join(import.meta.dirname, "../..")

// oxlint-disable-next-line import/no-default-export -- vitest wants it so
export default function setup(project: TestProject): () => void {
  const built = spawnSync(process.execPath, [join(root, "scripts/build.mjs")], { stdio: "inherit" })
  if (built.status !== 0) throw new Error("the build failed")
  const directory = mkdtempSync(join(tmpdir(), "interop-"))
  const cable = join(directory, "cable")
  const compiled = spawnSync("gcc", ["-O2", "-o", cable, join(root, "test/bench/network/cable.c")])
  project.provide("cable", compiled.status === 0 ? cable : "")
  return () => rmSync(directory, { recursive: true, force: true })
}
