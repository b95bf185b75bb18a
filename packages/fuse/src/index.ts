/**
 * FUSE messages and sessions over a file system.
 *
 * @module
 */
export * as protocol from "./protocol/index.ts"
export { Exchange, type Transport } from "./session/exchange.ts"
export { Forgetful, type Memo, type Negotiated, type Outcome } from "./session/memo.ts"
export { CACHED, CONSISTENT, DELEGATED, POLICIES, type Policy, type PolicyOf } from "./session/policy.ts"
export { FuseSession, type FuseSessionOptions } from "./session/session.ts"
export type { Malformed } from "./session/work.ts"
