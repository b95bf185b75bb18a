/**
 * How the programs of Skep are run by each other: from the build, where all lie beside each other, or from source with tsx. What runs from source
 * takes the programs of the build too where `SKEP_PROGRAMS` names their directory, as in the gate: they start in a fifth of the time.
 *
 * @module
 */
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** Node's flags for a process that waits most of the time, and whose memory is what a user sees: a small young generation. */
export const LEAN: readonly string[] = ["--max-semi-space-size=1", "--no-warnings"]

export interface ProgramFiles {
  /** Its name in the build. */
  readonly built: string
  /** Its source, relative to whoever asks. */
  readonly source: string
}

/** Node's arguments that run it. `from` is the `import.meta.url` of whoever asks, which tells of itself whether it was built. */
export function nodeArguments(from: string, { built, source }: ProgramFiles): readonly string[] {
  if (!from.endsWith(".ts")) return [...LEAN, fileURLToPath(new URL(`./${built}.js`, from))]
  // oxlint-disable-next-line node/no-process-env -- what runs from source is a developer's or a test's
  const programs = process.env["SKEP_PROGRAMS"]
  if (programs !== undefined) return [...LEAN, join(programs, `${built}.js`)]
  return [...LEAN, "--conditions=source", "--import", "tsx", fileURLToPath(new URL(source, from))]
}
