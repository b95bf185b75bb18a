/**
 * All cases as a script for the program, what it said of each step, and where two file systems do not say the same.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import type { PosixCase } from "./case.ts"
import { attributeCases } from "./cases/attributes.ts"
import { dataCases } from "./cases/data.ts"
import { factCases } from "./cases/facts.ts"
import { makingCases } from "./cases/making.ts"
import { openCases } from "./cases/opens.ts"
import { pathCases } from "./cases/paths.ts"
import { randomCases } from "./cases/random.ts"
import { renameCases } from "./cases/renames.ts"

/** By what they are about. */
export const FAMILIES: Readonly<Record<string, readonly PosixCase[]>> = {
  paths: pathCases(),
  "making and removing": makingCases(),
  renaming: renameCases(),
  "modes, owners and times": factCases(),
  opening: openCases(),
  data: dataCases(),
  "attributes and locks": attributeCases(),
  "random names": randomCases(),
}
export const CASES: readonly PosixCase[] = Object.values(FAMILIES).flat()

/** What one file system said: for each case the results of its steps. */
export type Transcript = readonly (readonly string[])[]

/** A step with another result than it should have. */
export interface Difference {
  readonly case: string
  readonly line: string
  readonly expected: string
  readonly found: string
}

/** Compiles the program, to run on any Linux of this processor. */
export function buildProgram(to: string): void {
  const from = join(import.meta.dirname, "program")
  const sources = readdirSync(from).filter((name) => name.endsWith(".c"))
  const words = ["-static", "-O1", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-o", to]
  const { status, stderr } = spawnSync("gcc", [...words, ...sources.map((name) => join(from, name))])
  if (status !== 0) throw new Error(`gcc: ${String(stderr)}`)
}

/** What the program reads. */
export function script(cases: readonly PosixCase[] = CASES): string {
  const lines = cases.flatMap(({ steps }) => ["case", ...steps.map(({ line }) => line)])
  return `${lines.join("\n")}\n`
}

/** Reads what it said. Throws where that is not all. */
export function parseTranscript(text: string, cases: readonly PosixCase[] = CASES): Transcript {
  const lines = text.split("\n")
  let at = 0
  const transcript = cases.map(({ name, steps }) => {
    // The case before was removed: with its last step.
    if (lines[at] !== "case") throw new Error(`before "${name}": ${lines[at] ?? "nothing"}`)
    const results = lines.slice(at + 1, at + 2 + steps.length)
    if (results.length < steps.length + 1) throw new Error(`"${name}" was not finished`)
    at += 2 + steps.length
    return results
  })
  if (lines[at] !== "" || lines.length !== at + 1) throw new Error(`after the last case: ${lines[at] ?? ""}`)
  return transcript
}

/** Where a transcript is not as the cases say, and where they say nothing not as `local` is. */
export function differences(
  found: Transcript,
  local: Transcript,
  cases: readonly PosixCase[] = CASES,
): readonly Difference[] {
  return cases.flatMap(({ name, steps }, index) => {
    const all = [...steps, { line: "(end of the case)", expected: "cleared" }]
    return all.flatMap(({ line, expected }, step) => {
      const wanted = expected ?? local[index]?.[step] ?? ""
      const said = found[index]?.[step] ?? ""
      return said === wanted ? [] : [{ case: name, line, expected: wanted, found: said }]
    })
  })
}
