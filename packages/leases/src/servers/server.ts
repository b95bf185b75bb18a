/**
 * What a DHCP server is to those who take leases back from it: where its leases are, whether it runs, and how it gets to know.
 *
 * - "edit": the file may be changed while it runs, and `tell` has it read the file again
 * - "ask": it keeps its leases in memory and writes the file from that: it is asked for each lease
 * - "refuse": it runs and there is no way to tell it, so only while it does not run
 *
 * @module
 */
import type { Document, Lease } from "../model.ts"

/** Runs a program by its words, never through a shell. Resolves with what it printed; rejects where it could not or said no. */
export type RunProgram = (file: string, args: readonly string[], signal: AbortSignal) => Promise<string>

export interface ServerHost {
  readonly run: RunProgram
  /** Where the files of other programs are looked for: "/". */
  readonly root: string
  readonly platform: NodeJS.Platform
}

export interface LeaseServer {
  /** The name of its format, and of itself. */
  readonly name: string
  readonly title: string
  /** Files that it has its leases in, where it keeps them by itself; patterns have one `*`. */
  readonly places: readonly string[]
  /** Files beside, which say networks and reservations. */
  readonly settings?: readonly string[]
  readonly whileRunning: "edit" | "ask" | "refuse"
  /** Whether the process that has this file runs; undefined where that cannot be said. */
  isRunning(path: string, host: ServerHost, signal: AbortSignal): Promise<boolean | undefined>
  /** For "edit": has it read the file, which has changed. */
  tell?(path: string, host: ServerHost, signal: AbortSignal): Promise<void>
  /** For "ask": says to it that a lease is given back. Whether it did so is seen in the file. */
  ask?(lease: Lease, document: Document, signal: AbortSignal): Promise<void>
  /** The lock of those who write the file, where there is one. */
  lockOf?(path: string): string
  /** What to do where it runs and cannot be told. */
  readonly next: string
}
