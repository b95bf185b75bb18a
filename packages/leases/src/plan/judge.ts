/**
 * What each lease is now: whose, and whether anybody still needs it. Pure; the time, the machines and who answers are told.
 *
 * @module
 */
import type { LeaseEntry, LeaseKind, LeaseOwner } from "@skep/contract"
import { type Document, type Lease, macOf, type Octets } from "../model.ts"
import type { Machine } from "../owners/machine.ts"
import { ownersOf } from "../owners/ownership.ts"

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
  | "by-the-file"
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

export interface Judged {
  readonly lease: Lease
  readonly kind: LeaseKind
  readonly why: Why
  readonly owner: LeaseOwner | undefined
}

/** One for each lease of the document, in its order. */
export function judge(document: Document, facts: Facts): readonly Judged[] {
  const { leases } = document
  const owners = ownersOf(leases, facts.machines)
  const newest = newestOf(leases, document.format)
  return leases.map((lease) => {
    const owner = owners.get(lease)
    const [kind, why] = verdict(lease, owner, newest, facts)
    return { lease, kind, why, owner }
  })
}

function verdict(
  lease: Lease,
  owner: LeaseOwner | undefined,
  newest: Newest,
  facts: Facts,
): readonly [LeaseKind, Why] {
  if (lease.state === "reserved") return ["reserved", "by-the-file"]
  if (lease.state === "free") return ["free", "by-the-file"]
  if (newest.byAddress.get(lease.address) !== lease) return ["duplicate", "older-of-address"]
  // Somebody there who is known to be another one is not its client.
  const answering = facts.neighbours?.get(lease.address)
  const mac = macOf(lease)
  if (answering !== undefined && (mac === undefined || answering === mac)) return ["live", "answers"]
  if (lease.expires !== undefined && lease.expires <= facts.now) return ["expired", "over"]
  if (lease.state === "declined") return ["declined", "declined"]
  const client = clientOf(lease)
  if (client !== undefined && newest.byClient.get(client) !== lease) return ["duplicate", "older-of-client"]
  return ofOwner(owner, answering !== undefined, facts)
}

/** Of one that holds still: whether anybody needs it. */
function ofOwner(
  owner: LeaseOwner | undefined,
  answers: boolean,
  { unreadTools }: Facts,
): readonly [LeaseKind, Why] {
  if (owner?.running === true) return ["live", "owner-runs"]
  if (owner !== undefined) return ["live", owner.running === false ? "owner-stopped" : "owner"]
  if (answers) return ["live", "answers"]
  return unreadTools.length > 0 ? ["live", "unread"] : ["stale", "nobody"]
}

interface Newest {
  readonly byAddress: ReadonlyMap<string, Lease>
  readonly byClient: ReadonlyMap<string, Lease>
}

/**
 * Which of several counts. bootpd writes what it touched last first, and looks no further; the others have one of each, or the later one counts. A reservation is
 * no older one of anything.
 */
function newestOf(leases: readonly Lease[], format: string): Newest {
  const byAddress = new Map<string, Lease>()
  const byClient = new Map<string, Lease>()
  const firstCounts = format === "bootpd"
  const keep = (map: Map<string, Lease>, key: string, lease: Lease): void => {
    const other = map.get(key)
    if (other === undefined) map.set(key, lease)
    else {
      const [mine, theirs] = [expiryOf(lease), expiryOf(other)]
      if (mine > theirs || (mine === theirs && !firstCounts)) map.set(key, lease)
    }
  }
  for (const lease of leases) {
    if (lease.state !== "bound" && lease.state !== "declined") continue
    keep(byAddress, lease.address, lease)
    const client = clientOf(lease)
    if (client !== undefined) keep(byClient, client, lease)
  }
  for (const lease of leases) if (lease.state === "reserved") byAddress.set(lease.address, lease)
  return { byAddress, byClient }
}

/** IPv4 and IPv6 of one client are two leases, and so are those of two machines that were made from one image, where the server tells them apart. */
function clientOf(lease: Lease): string | undefined {
  const id = macOf(lease) ?? lease.clientId
  if (id === undefined || lease.state !== "bound") return undefined
  // No new text for most of them: there may be a hundred thousand.
  const isIpv4 = !lease.address.includes(":")
  if (isIpv4 && lease.machine === undefined) return id
  return `${lease.machine ?? ""} ${isIpv4 ? "4" : `${lease.clientId ?? ""} 6`} ${id}`
}

function expiryOf({ expires }: Lease): number {
  return expires ?? Number.POSITIVE_INFINITY
}

/** Which lease is meant, whatever has moved in the file; another one when it has been renewed. */
export function keyOf({ address, clientId, hardware, expires, state }: Lease): string {
  return `${address} ${clientId ?? hardware ?? ""} ${expires ?? ""}${state === "bound" ? "" : ` ${state}`}`
}

const SENTENCES: Readonly<Record<Why, (judged: Judged) => string>> = {
  "by-the-file": ({ kind }) =>
    kind === "free" ? "the file says that it is nobody's" : "the file keeps it for its client",
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

/** As others are told of it. */
export function entryOf(judged: Judged): LeaseEntry {
  const { lease, kind, owner } = judged
  const mac = macOf(lease)
  const { clientId, name, expires } = lease
  return {
    key: keyOf(lease),
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
