/**
 * The stand-in bundled, as the program ships: it starts five times as fast as from source.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { build, stop } from "esbuild"

const root = join(import.meta.dirname, "../../..")
/** What the CommonJS packages inside expect around them, under names that nobody else has. */
const COMMON_JS = [
  'import { createRequire as __createRequire } from "node:module"',
  'import { dirname as __dirnameOf } from "node:path"',
  'import { fileURLToPath as __fileOf } from "node:url"',
  "const require = __createRequire(import.meta.url)",
  "const __filename = __fileOf(import.meta.url)",
  "const __dirname = __dirnameOf(__filename)",
].join("\n")

export interface Bundle extends Disposable {
  /** The program. */
  readonly file: string
  /** Its thread alone. */
  readonly thread: URL
}

/** Lies below the repository, where koffi is found. */
export async function bundleStandIn(): Promise<Bundle> {
  const parent = join(root, "node_modules/.cache")
  mkdirSync(parent, { recursive: true })
  const path = mkdtempSync(join(parent, "network-test-"))
  await build({
    absWorkingDir: import.meta.dirname,
    entryPoints: { "stand-in": "stand-in-main.ts", "stand-in-thread": "stand-in-thread.ts" },
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
    file: join(path, "stand-in.js"),
    thread: pathToFileURL(join(path, "stand-in-thread.js")),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
