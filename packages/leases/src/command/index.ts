/**
 * The command's verbs, for a command of another name.
 *
 * @module
 */
export { addVerbs, type CommandContext, leasesCommand } from "./program.ts"
export type { Streams } from "./terminal.ts"
