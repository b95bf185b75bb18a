/**
 * The sidecar as the program that ships: bundled, which starts five times as fast as from source.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { build, stop } from "esbuild"

const root = join(import.meta.dirname, "../../../..")
/** What the CommonJS packages inside expect around them, under names that nobody else has. */
const COMMON_JS = [
  'import { createRequire as __createRequire } from "node:module"',
  'import { dirname as __dirnameOf } from "node:path"',
  'import { fileURLToPath as __fileOf } from "node:url"',
  "const require = __createRequire(import.meta.url)",
  "const __filename = __fileOf(import.meta.url)",
  "const __dirname = __dirnameOf(__filename)",
].join("\n")

/** Lies below the repository, where koffi is found. */
export async function bundleProgram(): Promise<Disposable & { readonly file: string }> {
  const parent = join(root, "node_modules/.cache")
  mkdirSync(parent, { recursive: true })
  const path = mkdtempSync(join(parent, "vsock-test-"))
  await build({
    absWorkingDir: join(import.meta.dirname, "../.."),
    entryPoints: { vsock: "src/main.ts", "vsock-thread": "src/thread.ts" },
    outdir: path,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    conditions: ["source"],
    external: ["koffi", "*.node"],
    banner: { js: COMMON_JS },
    logLevel: "warning",
  })
  await stop()
  return {
    file: join(path, "vsock.js"),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
