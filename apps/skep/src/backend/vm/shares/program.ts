/**
 * Which program serves a machine's shares, as the backend has to know it.
 *
 * @module
 */
import type { Context, Instance, ShareRule, SharesRunning, SidecarEvent } from "@skep/contract"
import type { ShareOwners } from "@skep/shares/client"
import type { SharesProvider } from "../../../machine/schema.ts"
import type { VmContext } from "../context.ts"

/** A sidecar in a process of its own, which outlives the backend. */
export interface SharesSidecar extends SharesRunning {
  readonly identity: Instance
  /** Takes the share at `target` away, whoever asked for it. */
  unshare(target: string): Promise<void>
  /** Where it keeps what the machine says of owners. */
  readonly owners?: ShareOwners
  /** Lets go of it: the sidecar stays with the machine. */
  release(): void
}

/** The machine, and what is known of its network. */
export interface Served extends VmContext {
  /** Where it finds its host: resolves when it is on its network. */
  readonly hostAddress: () => Promise<string>
}

export interface SharesProgram {
  readonly provider: Exclude<SharesProvider, "none">
  /** Whether shares come and go while it runs. Else it has those of its start, and others need the machine's next one. */
  readonly isLive: boolean
  readonly adopt: (options: {
    readonly control: string
    readonly signal: AbortSignal
    readonly emit: (event: SidecarEvent) => void
  }) => Promise<SharesSidecar>
  /** Starts its sidecar with these shares. `stderr`: where that logs. */
  readonly start: (
    machine: Served,
    rules: readonly ShareRule[],
    stderr: number,
    context: Context,
  ) => Promise<SharesSidecar>
}
