/**
 * What every file system keeps: the specification in src/filesystem.ts as cases, after the manner of pjdfstest. Each case begins with an empty root.
 *
 * @module
 */
import { describe, expect, it } from "vitest"
import type { FileSystem } from "../../src/index.ts"
import type { Check } from "./check.ts"
import { dataCases } from "./data.ts"
import { directoryCases } from "./directories.ts"
import { extendedCases } from "./extended.ts"
import { lockCases } from "./locks.ts"
import { nameCases } from "./names.ts"
import { nodeCases } from "./nodes.ts"
import { renameCases } from "./renames.ts"
import { Rig } from "./rig.ts"

export interface FileSystemSuite {
  readonly name: string
  /** An empty file system of its own for each case. It is disposed of before `clear` is called. */
  make(): FileSystemFixture | Promise<FileSystemFixture>
  /** Cases that this file system cannot pass, by name, with the reason; they are printed as skips. */
  readonly gaps?: Readonly<Record<string, string>>
  /** Why none of it can be run on this machine. */
  readonly unavailable?: string | undefined
}

export interface FileSystemFixture {
  readonly fs: FileSystem
  clear?(): void | Promise<void>
}

/** For the largest case on the slowest disk: it is to end, not to be fast. */
const PATIENCE_MS = 120_000

/** Declares the suite with vitest. */
export function fileSystemSuite(suite: FileSystemSuite): void {
  describe(`file system: ${suite.name}`, () => {
    const names = new Set<string>()
    const check: Check = (name, run) => {
      names.add(name)
      const gap = suite.gaps?.[name]
      const reason = suite.unavailable ?? (gap === undefined ? undefined : `gap: ${gap}`)
      if (reason === undefined) it(name, () => withRig(suite, run), PATIENCE_MS)
      else it.skip(`${name} (${reason})`, () => undefined)
    }
    const groups = { nodeCases, nameCases, renameCases, dataCases, directoryCases, extendedCases, lockCases }
    for (const cases of Object.values(groups)) cases(check)
    it("declares no gap that is not one of these cases", () => {
      expect(Object.keys(suite.gaps ?? {}).filter((gap) => !names.has(gap))).toEqual([])
    })
  })
}

async function withRig(suite: FileSystemSuite, run: (rig: Rig) => void | Promise<void>): Promise<void> {
  const fixture = await suite.make()
  try {
    await run(new Rig(fixture.fs))
  } finally {
    fixture.fs[Symbol.dispose]()
    await fixture.clear?.()
  }
}
