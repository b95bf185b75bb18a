/**
 * What a server counts. Plain numbers, so that the hot path adds and whoever asks copies.
 *
 * @module
 */

export interface NfsCounters {
  connections: number
  /** Connections that came while there were as many as there may be. */
  connectionsRefused: number
  /** Connections that were closed for what they sent. */
  connectionsBroken: number
  calls: number
  /** Answered from the cache of duplicates, or dropped since the first one is under way. */
  duplicates: number
  /** Refused as RPC: version, program, procedure, credential, arguments. */
  refused: number
  bytesRead: number
  bytesWritten: number
  /** Of directories. */
  entries: number
  /** Calls that go on after their procedure returned, now. */
  underWay: number
  /** Times that a connection waited for memory. */
  memoryWaits: number
  /** Times that a connection waited for its client to read. */
  outputWaits: number
}

export function newCounters(): NfsCounters {
  return {
    connections: 0,
    connectionsRefused: 0,
    connectionsBroken: 0,
    calls: 0,
    duplicates: 0,
    refused: 0,
    bytesRead: 0,
    bytesWritten: 0,
    entries: 0,
    underWay: 0,
    memoryWaits: 0,
    outputWaits: 0,
  }
}
