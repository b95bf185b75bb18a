/**
 * Bundles programs with loop threads as scripts/build.mjs does: one file an entry, and what they share in chunks.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { build, stop } from "esbuild"

const root = join(import.meta.dirname, "../../../..")

/** Below the repository, where koffi is found, unless told where. */
export async function bundle(
  entryPoints: Readonly<Record<string, string>>,
  parent: string = join(root, "node_modules/.cache"),
): Promise<Disposable & { readonly path: string }> {
  mkdirSync(parent, { recursive: true })
  const path = mkdtempSync(join(parent, "loop-test-"))
  await build({
    absWorkingDir: import.meta.dirname,
    entryPoints: { ...entryPoints },
    outdir: path,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    conditions: ["source"],
    external: ["koffi", "*.node"],
    logLevel: "warning",
  })
  await stop()
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
