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

/** The stand-in. Lies below the repository, where koffi is found. */
export async function bundleStandIn(): Promise<Bundle> {
  return await bundleOf({ "stand-in": "stand-in-main.ts", "stand-in-thread": "stand-in-thread.ts" })
}

/** The network itself, likewise. */
export async function bundleNetwork(): Promise<Bundle> {
  return await bundleOf({ network: "../src/main.ts", "network-thread": "../src/thread.ts" })
}

/** The network itself, whose thread on Node's sockets crashes when it is asked to (`drivers/crashing-thread.ts`). */
export async function bundleNodeNetwork(): Promise<Bundle> {
  return await bundleOf({
    network: "../src/main.ts",
    "crashing-thread": "drivers/crashing-thread.ts",
    "network-node-thread": "../src/node-thread.ts",
  })
}

async function bundleOf(entryPoints: Readonly<Record<string, string>>): Promise<Bundle> {
  const [main, thread] = Object.keys(entryPoints)
  const parent = join(root, "node_modules/.cache")
  mkdirSync(parent, { recursive: true })
  const path = mkdtempSync(join(parent, "network-test-"))
  await build({
    absWorkingDir: import.meta.dirname,
    entryPoints,
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
    file: join(path, `${main}.js`),
    thread: pathToFileURL(join(path, `${thread}.js`)),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
