/**
 * What a machine may keep of a file and for how long: docs/decisions/share-caches.md says what each mode promises.
 *
 * @module
 */
import type { Attributes, Caller, NodeId } from "@skep/vfs"

export interface Policy {
  /** How long a name leads to what it led to. */
  readonly entryMs: number
  readonly attributeMs: number
  /** How long a name that is not there is not there. 0: it is looked up each time. */
  readonly negativeMs: number
  /** Whether what was read before stays when the file is opened again, as long as its size and time of change are the same. */
  readonly keepCache: boolean
  /** Whether the machine keeps nothing of the file and its directories' entries, and each read comes here. */
  readonly direct: boolean
  /** Whether a directory's entries are kept, until it is seen to have changed. */
  readonly keepDirectories: boolean
  /** Whether the node is where another file system begins: in the machine it has a device number of its own. */
  readonly submount?: boolean
}

/**
 * Asked for each answer: returns shared objects. `attributes` are missing where only the node is known; a name that is not there goes by its parent. `asker`
 * is who asked what is there, or opened it; missing in the answer to a change.
 */
export type PolicyOf = (node: NodeId, attributes: Attributes | undefined, asker?: Caller) => Policy

export const CONSISTENT: Policy = {
  entryMs: 0,
  attributeMs: 0,
  negativeMs: 0,
  keepCache: false,
  direct: false,
  keepDirectories: false,
}

export const CACHED: Policy = {
  entryMs: 1000,
  attributeMs: 1000,
  negativeMs: 0,
  keepCache: true,
  direct: false,
  keepDirectories: false,
}

export const DELEGATED: Policy = {
  entryMs: 30_000,
  attributeMs: 30_000,
  negativeMs: 10_000,
  keepCache: true,
  direct: false,
  keepDirectories: true,
}

/** By the name that a share's rule has. */
export const POLICIES: Readonly<Record<"consistent" | "cached" | "delegated", Policy>> = {
  consistent: CONSISTENT,
  cached: CACHED,
  delegated: DELEGATED,
}
