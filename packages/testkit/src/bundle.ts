/**
 * Programs as they ship: bundled, which starts five times as fast as from source. With the options of scripts/build.mjs.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { type BuildOptions, build, stop } from "esbuild"

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
const AS_SHIPPED: BuildOptions = {
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  conditions: ["source"],
  external: ["koffi", "*.node"],
}

export interface Bundle extends Disposable {
  /** Where the programs are, each NAME.js. */
  readonly path: string
  /** One of them. */
  at(file: string): string
}

export interface BundleOptions {
  /** What the entries are relative to. */
  readonly from: string
  /** Where the bundle's directory is made; below the repository, where koffi is found, unless told. */
  readonly parent?: string
}

/** Bundles these entries, by name; what they share is in chunks. Disposing removes them. */
export async function bundle(
  entryPoints: Readonly<Record<string, string>>,
  { from, parent = join(root, "node_modules/.cache") }: BundleOptions,
): Promise<Bundle> {
  mkdirSync(parent, { recursive: true })
  const path = mkdtempSync(join(parent, "test-"))
  await build({
    ...AS_SHIPPED,
    absWorkingDir: from,
    entryPoints: { ...entryPoints },
    outdir: path,
    splitting: true,
    banner: { js: COMMON_JS },
    logLevel: "warning",
  })
  await stop() // its service process would outlive the test
  return {
    path,
    at: (file) => join(path, file),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}

/** Every file that comes with these entries, relative to the repository, and every package that is left outside, as "FILE: PACKAGE". */
export async function loadedBy(entries: readonly string[], from: string): Promise<readonly string[]> {
  const contents = entries.map((entry, index) => `export * as entry${index} from ${JSON.stringify(entry)}`)
  const { metafile } = await build({
    ...AS_SHIPPED,
    stdin: { contents: contents.join("\n"), resolveDir: from },
    absWorkingDir: root,
    write: false,
    metafile: true,
    logLevel: "silent",
  })
  await stop()
  const outside = Object.entries(metafile.inputs).flatMap(([file, { imports }]) =>
    imports.filter(({ external }) => external === true).map(({ path }) => `${file}: ${path}`),
  )
  return [...Object.keys(metafile.inputs), ...outside]
}
