/**
 * Which accelerators to try, best first. That a device opens proves nothing: only a guest that prints does.
 *
 * @module
 */
import type { Accelerator } from "@skep/contract"
import type { Verdict } from "./verdict.ts"

export interface Candidate {
  readonly accelerator: Accelerator
  /** A guest has printed under it on this host before; or it needs nothing of the host, as emulation does. */
  readonly trusted: boolean
}

export interface Situation {
  readonly requested: "auto" | Accelerator
  readonly platform: NodeJS.Platform
  /** Whether /dev/kvm opens. */
  readonly kvmOpens: boolean
  /** What earlier starts found out, if anything. */
  readonly verdict: Verdict | undefined
}

/** Never empty: emulation works everywhere. */
export function candidatesIn(situation: Situation): readonly Candidate[] {
  const { requested, verdict } = situation
  const failed = new Set(verdict?.failed.map((failure) => failure.accelerator))
  const order = requested === "auto" ? bestFirst(situation).filter((name) => !failed.has(name)) : [requested]
  return order.map((accelerator) => ({
    accelerator,
    trusted: accelerator === "tcg" || accelerator === verdict?.proven,
  }))
}

function bestFirst({ platform, kvmOpens }: Situation): readonly Accelerator[] {
  const native: readonly Accelerator[] = platform === "darwin" ? ["hvf"] : kvmOpens ? ["kvm"] : []
  return [...native, "tcg"]
}
