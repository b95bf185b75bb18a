/**
 * Programs whose source is TypeScript, as tests run them.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { existsSync, readFileSync, renameSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import { buildSync } from "esbuild"
import { AS_SHIPPED } from "./as-shipped.ts"

const root = join(import.meta.dirname, "../../..")

/**
 * Node's arguments that run the program whose source has this path, given in one part or several. From source, unless `SKEP_PROGRAMS` names the directory of
 * a build, as in the gate: then the program of the build, or for a test's own program a bundle made there, once. Either starts in a fifth of the time.
 */
export function fromSource(...path: readonly string[]): readonly string[] {
  const source = resolve(...path)
  // oxlint-disable-next-line node/no-process-env -- the gate sets it
  const programs = process.env["SKEP_PROGRAMS"]
  if (programs === undefined) return ["--conditions=source", "--import", "tsx", source]
  return [builtOf(programs, relative(root, source)) ?? bundled(programs, source)]
}

function builtOf(programs: string, source: string): string | undefined {
  // scripts/build.mjs writes it.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const { sources } = JSON.parse(readFileSync(join(programs, "../build.json"), "utf8")) as {
    sources: Readonly<Record<string, string>>
  }
  const name = sources[source]
  return name === undefined ? undefined : join(programs, `${name}.js`)
}

/** Beside the programs of the build, which it may start as they start each other. */
function bundled(programs: string, source: string): string {
  const name = createHash("sha256").update(source).digest("hex").slice(0, 16)
  const outfile = join(programs, `test-${name}.js`)
  if (existsSync(outfile)) return outfile
  const next = join(programs, `test-${name}.${process.pid}.js`)
  buildSync({ ...AS_SHIPPED, entryPoints: [source], outfile: next, logLevel: "warning" })
  renameSync(next, outfile)
  return outfile
}
