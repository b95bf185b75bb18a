/**
 * Programs from source.
 *
 * @module
 */
import { resolve } from "node:path"

/** Node's arguments that run the file of TypeScript at this path, given in one part or several. */
export function fromSource(...path: readonly string[]): readonly string[] {
  return ["--conditions=source", "--import", "tsx", resolve(...path)]
}
