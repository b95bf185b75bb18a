/**
 * Where the first file of a thread is.
 *
 * @module
 */
import { join } from "node:path"
import { pathToFileURL } from "node:url"

export interface EntryFiles {
  /** Its name in the build, where it lies beside its program. */
  readonly built: string
  /** Its source, relative to whoever asks. */
  readonly source: string
}

/**
 * The file to start. `from` is the `import.meta.url` of whoever asks, which tells of itself whether it was built. What runs from source takes the
 * thread of a build where `SKEP_PROGRAMS` names its directory, as in the gate: TypeScript takes five times as long to start.
 */
export function entryOf(from: string, { built, source }: EntryFiles): URL {
  if (!from.endsWith(".ts")) return new URL(`./${built}.js`, from)
  // oxlint-disable-next-line node/no-process-env -- what runs from source is a developer's or a test's
  const programs = process.env["SKEP_PROGRAMS"]
  return programs === undefined ? new URL(source, from) : pathToFileURL(join(programs, `${built}.js`))
}
