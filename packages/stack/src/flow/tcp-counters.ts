/**
 * What TCP counts, by the reasons that `status` shows.
 *
 * @module
 */

export interface TcpCounters {
  opened: number
  accepted: number
  refused: number
  unreachable: number
  overLimit: number
  outOfOrder: number
  retransmittedBytes: number
  noMemory: number
  windowProbes: number
  givenUp: number
  hostResets: number
  resetsSent: number
  strays: number
  malformed: number
  badChecksum: number
  /** Flows that were ended by an exception of ours. */
  faults: number
}

export function tcpCounters(): TcpCounters {
  return {
    opened: 0,
    accepted: 0,
    refused: 0,
    unreachable: 0,
    overLimit: 0,
    outOfOrder: 0,
    retransmittedBytes: 0,
    noMemory: 0,
    windowProbes: 0,
    givenUp: 0,
    hostResets: 0,
    resetsSent: 0,
    strays: 0,
    malformed: 0,
    badChecksum: 0,
    faults: 0,
  }
}
