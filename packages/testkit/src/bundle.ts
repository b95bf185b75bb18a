/**
 * Programs as they ship: bundled, which starts five times as fast as from source. With the options of scripts/build.mjs.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { build, stop } from "esbuild"
import { AS_SHIPPED } from "./as-shipped.ts"

const root = join(import.meta.dirname, "../../..")

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
