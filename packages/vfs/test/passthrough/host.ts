/**
 * A shared directory of the host, its journal beside it, and a rig on it: for tests that meddle with both sides.
 *
 * @module
 */
import { mkdirSync } from "node:fs"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { openPassthrough, type Passthrough, type PassthroughOptions } from "../../src/index.ts"
import { Rig } from "../suite/rig.ts"

export interface Host extends AsyncDisposable {
  readonly directory: TemporaryDirectory
  /** What is shared. */
  readonly root: string
  readonly journal: string
  readonly fs: Passthrough
  readonly rig: Rig
  /** Disposes of the file system and opens it anew, as a successor does. */
  again(options?: Partial<PassthroughOptions>): void
}

/** `journal: true` keeps ids over `again`. */
export async function host(
  options: Partial<Omit<PassthroughOptions, "journal">> & { journal?: boolean } = {},
): Promise<Host> {
  const directory = await temporaryDirectory()
  const root = directory.at("root")
  mkdirSync(root)
  const { journal, ...rest } = options
  const path = directory.at("journal")
  const open = (more: Partial<PassthroughOptions> = {}): Passthrough =>
    openPassthrough({
      path: root,
      maxNodes: 65_536,
      ...rest,
      ...(journal === true ? { journal: path } : {}),
      ...more,
    })
  let fs = open()
  let rig = new Rig(fs)
  return {
    directory,
    root,
    journal: path,
    get fs() {
      return fs
    },
    get rig() {
      return rig
    },
    again: (more) => {
      fs[Symbol.dispose]()
      fs = open(more)
      rig = new Rig(fs)
    },
    [Symbol.asyncDispose]: async () => {
      fs[Symbol.dispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}
