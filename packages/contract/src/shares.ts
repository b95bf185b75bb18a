/**
 * The shares role: directories of the host in a machine.
 *
 * One sidecar serves one machine. A share is added and removed while the machine runs; it is there in the guest, at its target, when `share` has
 * resolved, where a guest was told of (`guestReady` in the status); where none runs yet it will be there as soon as one does.
 *
 * @module
 */
import type { Counters, Running } from "./sidecar.ts"

/** How fresh what the guest sees has to be; docs/decisions/share-caches.md says what each promises. */
export type ShareCache = "consistent" | "cached" | "delegated"

/** Whose the files of a share are: "virtual" shows and keeps owners without touching the host's, "real" is the host's own. */
export type ShareOwnership = "virtual" | "real"

/** By what a share gets into the guest: `exports` is the NFS server of the host's kernel. */
export type ShareProtocol = "virtiofs" | "nfs" | "exports"

export interface ShareRule {
  /** A directory of the host, absolute, without symbolic links. */
  readonly path: string
  /** Where it is in the guest: absolute. Unique in a machine. */
  readonly target: string
  readonly readOnly: boolean
  readonly cache: ShareCache
  readonly ownership: ShareOwnership
}

export interface ShareState extends ShareRule {
  readonly protocol: ShareProtocol
  /** "waiting" for a guest, "mounted" in one, "gone": the directory vanished on the host, "failed" with the reason. */
  readonly state: "waiting" | "mounted" | "gone" | "failed"
  readonly reason?: string
}

/** A share in place. Disposing it unmounts it in the guest; a second disposal does nothing more. */
export interface Share extends AsyncDisposable {
  readonly rule: ShareRule
}

export interface SharesStatus {
  /** Which protocol shares of this machine get, and why, in a sentence. */
  readonly protocol: ShareProtocol
  readonly reason: string
  /** Whether the guest's part has answered. */
  readonly guestReady: boolean
  readonly shares: readonly ShareState[]
  readonly counters: Counters
}

export interface SharesRunning extends Running<SharesStatus> {
  /**
   * Resolves when the share is in place. A rule that is in place already is adopted, so a restarted caller may ask for all its rules again; another
   * rule for the same target replaces it. Codes: "not-found" (no such directory), "permission-denied", "bad-options" (not a directory, a
   * target within another share's), "timeout" (the guest does not answer), "unsupported".
   */
  share(rule: ShareRule): Promise<Share>
}
