/**
 * Temporary directories that go with the test, short enough for socket paths.
 *
 * @module
 */
import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string
  /** A path inside it. */
  at(...parts: readonly string[]): string
  /** Everything inside it, by path relative to it, sorted. */
  list(): Promise<readonly string[]>
}

/** Creates a directory of mode 0700; disposing removes it with all that is in it. */
export async function temporaryDirectory(): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), "skep-"))
  return {
    path,
    at: (...parts) => join(path, ...parts),
    list: async () => (await readdir(path, { recursive: true })).toSorted(),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}
