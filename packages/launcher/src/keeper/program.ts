/**
 * How to run the keeper's program: from the build beside this file, or from source with tsx.
 *
 * @module
 */
import { fileURLToPath } from "node:url"

/** It waits most of the time, and its memory is what a user sees. */
const LEAN = ["--max-semi-space-size=1", "--no-warnings"]

/** Node's arguments. */
export function keeperProgram(): readonly string[] {
  if (!import.meta.url.endsWith(".ts"))
    return [...LEAN, fileURLToPath(new URL("./keeper.js", import.meta.url))]
  const source = fileURLToPath(new URL("./main.ts", import.meta.url))
  return [...LEAN, "--conditions=source", "--import", "tsx", source]
}
