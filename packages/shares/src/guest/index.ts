/**
 * The host's end of the guest's share agent.
 *
 * @module
 */
export { dialGuest, type GuestPort } from "./dial.ts"
export { GuestShares, type GuestSharesOptions } from "./guest-shares.ts"
export type { BoundShare, EchoResult, Hello, Mount, Place } from "./lines.ts"
export { type GuestMounts, openShareSession, type SessionOptions, ShareSession } from "./session.ts"

/** The agent's vsock port. */
export const SHARE_AGENT_PORT = 1027
