/**
 * What tests share. Never a dependency of anything that ships. Bundles are in `@skep/testkit/bundle`.
 *
 * @module
 */
export { openClient } from "./client.ts"
export { leftoversOf, processesMentioning } from "./leftovers.ts"
export { type Program, startProgram } from "./program.ts"
export { type PlayedRpcbind, playRpcbind, replyOf } from "./rpcbind.ts"
export { fromSource } from "./source.ts"
export { type TemporaryDirectory, temporaryDirectory } from "./temporary.ts"
