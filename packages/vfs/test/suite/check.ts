/**
 * How a case of the suite is declared.
 *
 * @module
 */
import type { Rig } from "./rig.ts"

export type Check = (name: string, run: (rig: Rig) => void | Promise<void>) => void
