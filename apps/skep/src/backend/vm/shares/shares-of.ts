/**
 * Who serves the shares of a machine.
 *
 * @module
 */
import type { SharesProvider } from "../../../machine/schema.ts"
import { MachineShares } from "./machine-shares.ts"
import type { Served, SharesProgram } from "./program.ts"
import { SKEP } from "./skep.ts"
import { VIRTIOFSD } from "./virtiofsd.ts"

const PROGRAMS: Readonly<Record<Exclude<SharesProvider, "none">, SharesProgram>> = {
  skep: SKEP,
  virtiofsd: VIRTIOFSD,
}

/** Begins at once. Undefined for a machine that is to have none. */
export function sharesOf(context: Served): MachineShares | undefined {
  const { sharesProvider = "skep" } = context.record
  return sharesProvider === "none" ? undefined : new MachineShares(context, PROGRAMS[sharesProvider])
}
