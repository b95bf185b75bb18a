/**
 * Whether two paths are one file.
 *
 * @module
 */
import { statSync } from "node:fs"

export function sameFile(one: string, other: string): boolean {
  try {
    const [a, b] = [statSync(one, { bigint: true }), statSync(other, { bigint: true })]
    return a.dev === b.dev && a.ino === b.ino
  } catch {
    return false // one of them is not there
  }
}
