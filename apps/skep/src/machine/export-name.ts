/**
 * What a machine is called in the exports of its host, which all users and all homes of Skep share: `dev-1f3a9c02`.
 *
 * @module
 */
import { createHash } from "node:crypto"
import type { Home } from "../home/paths.ts"

const MARK_DIGITS = 8

export function exportName(home: Pick<Home, "home">, machine: string): string {
  return `${machine}-${markOf(home)}`
}

/** Which machine of this home is meant; undefined for one of others. */
export function machineOfExport(home: Pick<Home, "home">, name: string): string | undefined {
  const end = `-${markOf(home)}`
  return name.endsWith(end) ? name.slice(0, -end.length) : undefined
}

function markOf({ home }: Pick<Home, "home">): string {
  const whose = `${process.getuid?.() ?? 0}\0${home}`
  return createHash("sha256").update(whose).digest("hex").slice(0, MARK_DIGITS)
}
