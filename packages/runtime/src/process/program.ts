/**
 * How the programs of Skep are run by each other: from the build, where all lie beside each other, or from source with tsx.
 *
 * @module
 */
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
  return [...LEAN, "--conditions=source", "--import", "tsx", fileURLToPath(new URL(source, from))]
}
