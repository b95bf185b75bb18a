/**
 * One home for all end-to-end tests: its image is built once, its machine `default` is booted once, and all of it is removed at
 * the end. The guests reach nothing (`--network restricted`).
 *
 * @module
 */
import { mkdirSync, rmSync, symlinkSync } from "node:fs"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { importBusybox } from "./busybox.ts"
import { run, skepIn } from "./skep.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** $SKEP_HOME of the shared machine. */
    home: string
  }
}

const root = join(import.meta.dirname, "../..")

// oxlint-disable-next-line import/no-default-export -- vitest wants it so
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = await mkdtemp(join(tmpdir(), "e2e-"))
  keepImages(home)
  const skep = skepIn(home)
  mkdirSync(skep.userHome, { mode: 0o700 })
  await skep.run(["image", "build"])
  await skep.run(["docker-cli"])
  await skep.run(["up", "--network", "restricted", "--cpus", "2", "--memory", "1g", "--disk", "8g"])
  await importBusybox(skep)
  project.provide("home", home)
  return async () => {
    await skep.run(["rm", "--force"], { check: false })
    await run("true", []) // the backend ends by itself once it has no machines
    await skep.backendEnds()
    rmSync(home, { recursive: true, force: true })
    rmSync(skep.userHome, { recursive: true, force: true })
  }
}

/** Images, packages and a docker command taken from them outlive the run, beside the other caches of the checkout: a fresh clone builds, a second run does not. */
export function keepImages(home: string): void {
  for (const name of ["images", "cache", "bin"]) {
    const kept = join(root, "node_modules/.cache/skep-e2e", name)
    mkdirSync(kept, { recursive: true, mode: 0o700 })
    symlinkSync(kept, join(home, name))
  }
}
