/**
 * What is staged for virtiofsd: every share under a number, with what is hidden in it.
 *
 * @module
 */
import { existsSync, realpathSync, statSync } from "node:fs"
import { type ShareRule, SidecarError } from "@skep/contract"
import type { Staged } from "./command-line.ts"
import type { VirtiofsdOptions } from "./options.ts"

/** Throws "not-found" and "bad-options" for what cannot be mounted: one program serves all of it or nothing. */
export function stagedOf({ shares, hidden }: Pick<VirtiofsdOptions, "shares" | "hidden">): readonly Staged[] {
  return shares.map((rule, index) => {
    checkDirectory(rule)
    const inside = hidden
      .filter((path) => existsSync(path))
      .map((path) => realpathSync(path))
      .flatMap((path) => (path.startsWith(`${rule.path}/`) ? [path.slice(rule.path.length + 1)] : []))
    return { number: index + 1, rule, hidden: inside }
  })
}

function checkDirectory({ path }: ShareRule): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined)
    throw new SidecarError("not-found", `Cannot share "${path}": there is no such directory`, {
      next: `Make it first: mkdir -p ${path}`,
    })
  if (!found.isDirectory() || realpathSync(path) !== path)
    throw new SidecarError("bad-options", `Cannot share "${path}": it is not a directory by its own name`)
}
