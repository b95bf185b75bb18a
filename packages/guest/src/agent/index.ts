/**
 * The host's end of what a guest of ours says over vsock: its agent (port 1025 of the guest) and its log (port 514 of the
 * host). AGENT.md specifies both.
 *
 * @module
 */
export type { GuestAddress, GuestFacts, GuestListener, Stall } from "./lines/facts.ts"
export { LOG_LINE_MAX, type LogRecord, parseLogRecord } from "./lines/log-record.ts"
export type { FailedPhase, Hello, Malformed, ReachedPhase } from "./lines/protocol.ts"
export {
  type AgentCounters,
  type AgentOptions,
  type AgentSession,
  type Clock,
  type GuestTime,
  openAgentSession,
  type SessionEnd,
} from "./session.ts"

/** Ports of the guest, on which it listens where it has a vsock device. */
export const GUEST_PORTS: { readonly docker: number; readonly ssh: number; readonly agent: number } = {
  docker: 2376,
  ssh: 22,
  agent: 1025,
}

/** Ports of the host (CID 2), to which the guest connects. */
export const HOST_PORTS: { readonly log: number; readonly sshAgent: number } = { log: 514, sshAgent: 1026 }
