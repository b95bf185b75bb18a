/**
 * What the main thread and the loop thread of the sidecar say to each other. The calls are handlers of `runLoop`, the notices its `notify`.
 *
 * ```
 *  main: HTTP, checks, the guest's part  ── call ──►  loop: vhost-user, FUSE, NFS, files
 *                                        ◄─ notice ─
 * ```
 *
 * @module
 */
import type { ShareRule } from "@skep/contract"
import type { ImportedOwners } from "@skep/vfs"
import type { FileEvent } from "../events/index.ts"
import type { EchoResult } from "../guest/index.ts"
import type { SharesOptions } from "../options.ts"
import type { Directory } from "../rules/check.ts"
import type { ServedNotice, ServedShare } from "../serving/served-shares.ts"

/** What the thread is started with. */
export interface ThreadData {
  readonly options: SharesOptions
  /** Instead of `options.shares`: those of them that can be served, or undefined for those from before. */
  readonly rules: readonly ShareRule[] | undefined
}

export interface ThreadCalls {
  /** Rejects with "busy", or what opening the directory throws. */
  put(share: { readonly rule: ShareRule; readonly directory: Directory }): ServedShare
  remove(target: string): boolean
  /** The guest's part: a new guest, the one from before, or none. */
  guest(state: "new" | "again" | "lost"): void
  /** What the guest has made of the changes that it was told. */
  echoed(results: readonly EchoResult[]): void
  status(argument: undefined): ThreadStatus
  /** Begins to export owners of the share at a target; undefined where it keeps none, or is not served. Rejects with "busy". */
  beginOwners(target: string): number | undefined
  /** The next piece of it. Rejects with "ESTALE" where the share began anew meanwhile. */
  nextOwners(number: number): OwnersPiece
  /** Nobody wants the rest. */
  endOwners(number: number): void
  /** Undefined where the share at the target keeps none, or is not served. */
  importOwners(wanted: {
    readonly target: string
    readonly lines: readonly string[]
  }): ImportedOwners | undefined
}

export interface OwnersPiece {
  /** A record in JSON each. */
  readonly lines: readonly string[]
  readonly done: boolean
}

export interface ThreadStatus {
  /** Whether a hypervisor, or the keeper before it, is connected. */
  readonly connected: boolean
  /** Whether a guest has begun to use the device. */
  readonly mounted: boolean
  readonly shares: readonly ServedShare[]
  /** Where NFS is served: a path, or a port of loopback. */
  readonly nfs?: string | number
  readonly counters: Readonly<Record<string, number>>
}

export type ThreadNotice =
  | ServedNotice
  | { readonly type: "connected" }
  | { readonly type: "disconnected"; readonly reason: string }
  /** Nobody was connected for `lonelyMs`: the sidecar ends. */
  | { readonly type: "lonely"; readonly lonelyMs: number }
  /** The guest broke the rules of its queue; a reset of the device starts it anew. */
  | { readonly type: "broken"; readonly queue: number; readonly reason: string }
  /** Something about a share is not as it should be, in a sentence. */
  | { readonly type: "share-note"; readonly target: string; readonly reason: string }
  /** A change of the host; paths are below the share's target. */
  | (FileEvent & { readonly type: "file-event"; readonly target: string })
  /** For the guest's part. */
  | { readonly type: "echo"; readonly lines: readonly string[] }
  /** A guest that knows nothing has come. */
  | { readonly type: "guest-began" }
