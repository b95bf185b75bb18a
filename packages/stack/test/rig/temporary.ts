/**
 * A directory of a test's own, gone with it.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface TemporaryDirectory extends AsyncDisposable {
  at(name: string): string
}

export async function temporaryDirectory(): Promise<TemporaryDirectory> {
  const path = mkdtempSync(join(tmpdir(), "t-"))
  return {
    at: (name) => join(path, name),
    [Symbol.asyncDispose]: async () => rmSync(path, { recursive: true, force: true }),
  }
}
