/**
 * What each lease is now: whose, and whether anybody still needs it. Pure; the time, the machines and who answers are told.
 *
 * @module
 */
import type { LeaseEntry, LeaseKind, LeaseOwner } from "@skep/contract"
import { type Document, type Lease, macOf, type Octets } from "../model.ts"
import type { Machine } from "../owners/machine.ts"
import { ownersOf } from "../owners/ownership.ts"
import { Keys } from "./keys.ts"
import { Newest } from "./newest.ts"

export interface Facts {
  /** Milliseconds of the epoch. */
  readonly now: number
  readonly machines: readonly Machine[]
  /** Tools whose files may not be read: what is nobody's may be theirs. */
  readonly unreadTools: readonly string[]
  /** Addresses at which somebody answers, with the Ethernet address. Undefined where nobody was asked. */
  readonly neighbours: ReadonlyMap<string, Octets> | undefined
}

/** What made it of its kind. */
type Why =
  | "reserved"
  | "free"
  | "declined"
  | "older-of-client"
  | "older-of-address"
  | "owner-runs"
  | "owner-stopped"
  | "owner"
  | "answers"
  | "unread"
  | "over"
  | "nobody"

const KINDS: Readonly<Record<Why, LeaseKind>> = {
  reserved: "reserved",
  free: "free",
  declined: "declined",
  "older-of-client": "duplicate",
  "older-of-address": "duplicate",
  "owner-runs": "live",
  "owner-stopped": "live",
  owner: "live",
  answers: "live",
  unread: "live",
  over: "expired",
  nobody: "stale",
}

export interface Judged {
  readonly lease: Lease
  readonly kind: LeaseKind
  readonly why: Why
  readonly owner: LeaseOwner | undefined
  /** Of its document. */
  readonly keys: Keys
}

/** One for each lease of the document, in its order. */
export function judge(document: Document, facts: Facts): readonly Judged[] {
  const { leases } = document
  const owners = ownersOf(leases, facts.machines)
  const newest = new Newest(leases, document.format)
  const keys = new Keys(document)
  return leases.map((lease) => {
    const owner = owners.get(lease)
    const why = verdict(lease, owner, newest, facts)
    return { lease, kind: KINDS[why], why, owner, keys }
  })
}

function verdict(lease: Lease, owner: LeaseOwner | undefined, newest: Newest, facts: Facts): Why {
  if (lease.state === "reserved" || lease.state === "free") return lease.state
  if (!newest.isOfAddress(lease)) return "older-of-address"
  // Somebody there who is known to be another one is not its client.
  const answering = facts.neighbours?.get(lease.address)
  if (answering !== undefined && (macOf(lease) ?? answering) === answering) return "answers"
  if (lease.expires !== undefined && lease.expires <= facts.now) return "over"
  if (lease.state === "declined") return "declined"
  if (!newest.isOfClient(lease)) return "older-of-client"
  return ofOwner(owner, answering !== undefined, facts)
}

/** Of one that holds still: whether anybody needs it. */
function ofOwner(owner: LeaseOwner | undefined, answers: boolean, { unreadTools }: Facts): Why {
  if (owner?.running === true) return "owner-runs"
  if (owner !== undefined) return owner.running === false ? "owner-stopped" : "owner"
  if (answers) return "answers"
  return unreadTools.length > 0 ? "unread" : "nobody"
}

const SENTENCES: Readonly<Record<Why, (judged: Judged) => string>> = {
  reserved: () => "the file keeps it for its client",
  free: () => "the file says that it is nobody's",
  declined: () => "a client found that somebody else has the address",
  "older-of-client": () => "its client has a newer one",
  "older-of-address": () => "a newer entry is about the same address",
  "owner-runs": ({ owner }) => `${owner?.tool} has the machine ${owner?.machine}, which runs`,
  "owner-stopped": ({ owner }) => `${owner?.tool} has the machine ${owner?.machine}, which is stopped`,
  owner: ({ owner }) => `${owner?.tool} has the machine ${owner?.machine}`,
  answers: () => "somebody answers at the address, or did a moment ago",
  unread: () => "no machine has it that this user may see",
  over: ({ owner }) =>
    owner === undefined
      ? "its time is over"
      : `its time is over; ${owner.tool} has the machine ${owner.machine}`,
  nobody: () => "it is not over, but no machine has it, as far as anything here knows",
}

export function reasonOf(judged: Judged): string {
  return SENTENCES[judged.why](judged)
}

export function keyOf({ lease, keys }: Judged): string {
  return keys.of(lease)
}

/** As others are told of it. */
export function entryOf(judged: Judged): LeaseEntry {
  const { lease, kind, owner } = judged
  const mac = macOf(lease)
  const { clientId, name, expires } = lease
  return {
    key: keyOf(judged),
    address: lease.address,
    ...(mac === undefined ? {} : { mac }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(name === undefined ? {} : { name }),
    ...(expires === undefined || !Number.isFinite(expires) ? {} : { expires }),
    kind,
    reason: reasonOf(judged),
    ...(owner === undefined ? {} : { owner }),
    path: lease.source.path,
    line: lease.source.line,
  }
}
