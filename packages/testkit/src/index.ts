/**
 * What tests share. Never a dependency of anything that ships.
 *
 * @module
 */
export { leftoversOf, processesMentioning } from "./leftovers.ts"
export { type TemporaryDirectory, temporaryDirectory } from "./temporary.ts"
