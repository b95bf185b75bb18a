/**
 * What a format of lease files can do: tell a file of its kind, read it, and take entries out of it without touching anything else.
 *
 * Everything is done on bytes. A document keeps the file as it is; entries are ranges of it, and what is removed is cut out of it. So what is not understood
 * (fields of newer versions, comments, names in any encoding) stays as it is, to the byte.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { Document, Lease } from "./model.ts"
import { shown } from "./model.ts"

/** An address that a client is always given. */
export interface Reservation {
  readonly name: string
  readonly address: string
  /** An Ethernet address, as `Octets`. */
  readonly mac: string
}

export interface LeaseFormat {
  /** Short, of letters and hyphens: "bootpd". */
  readonly name: string
  /** For people: "leases of macOS' bootpd". */
  readonly title: string
  /** Where such files are on systems that are known, `*` for any name; what a user set up elsewhere is not among them. */
  readonly places: readonly string[]
  /** Whether a file is of this format. Where its bytes say nothing (there are none, say), its path does. Never throws. */
  detect(bytes: Uint8Array, path: string): boolean
  /** Never throws: what is wrong is in the document. The document keeps the bytes. */
  parse(bytes: Uint8Array, path: string): Document
  /**
   * The file without these leases of its document, and otherwise byte for byte the same. Throws what `mayRewrite` throws. Leases that only work together
   * have to be chosen together: see `together`.
   */
  remove(document: Document, leases: Iterable<Lease>): Uint8Array
  /** The file with one reservation more. Only where the format is one that people write. Throws as `remove`, and "exists" or "bad-options". */
  reserve?(document: Document, reservation: Reservation): Uint8Array
}

/** Throws "corrupt-file", with the line, where a document has something that was not understood: then nobody may rewrite it. */
export function mayRewrite(document: Document): void {
  const [first, ...more] = document.problems
  if (first === undefined) return
  const others = more.length === 0 ? "" : ` (and ${more.length} more)`
  throw new SidecarError(
    "corrupt-file",
    `Cannot change "${shown(document.path)}": line ${first.line}: ${first.sentence}${others}`,
    { next: `Look at line ${first.line} of the file; it is left as it is` },
  )
}

/**
 * The chosen leases of a document and those entries that would come back to life without them: older entries of the same address, in a format where the
 * last one counts.
 */
export function together(document: Document, leases: Iterable<Lease>): Lease[] {
  const chosen = new Set(leases)
  const newest = new Set(
    [...chosen].filter(({ state }) => state !== "superseded").map(({ address }) => address),
  )
  return document.leases.filter(
    (lease) => chosen.has(lease) || (lease.state === "superseded" && newest.has(lease.address)),
  )
}
