/**
 * How to run the keeper's program.
 *
 * @module
 */
import { nodeArguments } from "@skep/runtime"

/** Node's arguments. */
export function keeperProgram(): readonly string[] {
  return nodeArguments(import.meta.url, { built: "keeper", source: "./main.ts" })
}
