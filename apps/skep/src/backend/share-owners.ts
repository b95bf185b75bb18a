/**
 * Owners of the files of a machine's share, out of it and into it, while the machine runs.
 *
 * @module
 */
import { type ErrorCode, type ShareRule, SidecarError } from "@skep/contract"
import type { ShareOwners } from "@skep/shares/client"
import { ruleNamed } from "../machine/share-rules.ts"
import type { MachineShares } from "./vm/shares/machine-shares.ts"

/** What the machine has, and what serves it. */
export interface OwnersSource {
  readonly name: string
  readonly rules: readonly ShareRule[]
  readonly running: MachineShares | "none" | undefined
}

export interface FoundOwners {
  readonly owners: ShareOwners
  /** Of the share that was named. */
  readonly target: string
}

/** `named`: the share's target, or its directory on the host. `doing`: "export the owners of", which is refused in a sentence. */
export async function ownersOf(
  source: OwnersSource,
  named: string,
  doing: string,
  signal: AbortSignal,
): Promise<FoundOwners> {
  const { name, rules, running } = source
  const { target, ownership } = ruleNamed(rules, named)
  const refusal = (code: ErrorCode, why: string, next: string): SidecarError =>
    new SidecarError(code, `Cannot ${doing} "${target}": ${why}`, { next })
  if (ownership === "real") {
    const next = "Copy the tree with tar as root, which takes owners along"
    throw refusal("unsupported", "it is shared with --ownership real, so owners are those of this host", next)
  }
  if (running === undefined)
    throw refusal("not-running", `the machine "${name}" does not run`, `Start it with skep up ${name}`)
  const owners = running === "none" ? undefined : await running.owners(signal)
  if (owners !== undefined) return { owners, target }
  if (running === "none")
    throw refusal(
      "not-running",
      "this run of the machine has no shares",
      `See skep logs ${name} --source shares`,
    )
  const next = `Serve the shares by skep itself: skep restart ${name} --shares skep`
  throw refusal("unsupported", `${running.provider} keeps none but those of this host`, next)
}
