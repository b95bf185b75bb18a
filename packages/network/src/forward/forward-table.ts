/**
 * The forwards in place. The listeners themselves are the driver's: `open` and `close` are supplied.
 *
 * A rule is there once. Who asks for it again adopts it, with the same listener: from then on it is theirs, and what the one before had in hand
 * removes nothing any more. So a program that was restarted asks for all its rules again, and one that comes to its end late does no harm.
 *
 * @module
 */
import { type ErrorCode, type ForwardRule, SidecarError } from "@skep/contract"
import { canonicalAddress } from "../addressing/address.ts"
import type { ForwardAdded, ForwardChoice, ForwardEntry, ForwardFilter } from "../thread/calls.ts"
import { excludeEachOther, listenerName, ruleName } from "./rule.ts"

/** A forward as its listener sees it: the listener counts on it. */
export interface OpenForward {
  rule: ForwardRule
  readonly sinceMs: number
  accepted: number
}

export interface ForwardTableOptions<Listener> {
  /** Listens, at once. May throw the `SystemError` of bind(2) or listen(2), or a SidecarError. */
  readonly open: (forward: OpenForward) => Listener
  readonly close: (listener: Listener) => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly max: number
}

interface Row<Listener> {
  id: number
  readonly forward: OpenForward
  readonly listener: Listener
}

export class ForwardTable<Listener> {
  readonly #options: ForwardTableOptions<Listener>
  readonly #rows = new Map<string, Row<Listener>>()
  /** Rows by transport and port: only those can stand in each other's way. */
  readonly #byPort = new Map<string, Set<Row<Listener>>>()
  readonly #byId = new Map<number, Row<Listener>>()
  #lastId = 0

  constructor(options: ForwardTableOptions<Listener>) {
    this.#options = options
  }

  get size(): number {
    return this.#rows.size
  }

  /** Codes: "address-in-use", "permission-denied", "unsupported", "bad-options", "busy". */
  add(wanted: ForwardRule): ForwardAdded {
    const rule = canonicalRule(wanted)
    const there = this.#rows.get(ruleName(rule))
    if (there !== undefined) return this.#adopt(there, rule)
    this.#refuse(rule)
    const forward: OpenForward = { rule, sinceMs: this.#options.now(), accepted: 0 }
    const row = { id: ++this.#lastId, forward, listener: this.#open(forward) }
    this.#rows.set(ruleName(rule), row)
    this.#byId.set(row.id, row)
    const key = portKey(rule)
    const beside = this.#byPort.get(key)
    if (beside === undefined) this.#byPort.set(key, new Set([row]))
    else beside.add(row)
    return { id: row.id, rule, adopted: false }
  }

  /** By id it removes what is still that asker's, by rule what is there, unless the rule names an owner that is not its. Returns whether it did. */
  remove(which: ForwardChoice): boolean {
    const row = "id" in which ? this.#byId.get(which.id) : this.#rows.get(ruleName(canonicalRule(which.rule)))
    if (row === undefined) return false
    const owner = "rule" in which ? which.rule.owner : undefined
    if (owner !== undefined && owner !== row.forward.rule.owner) return false
    this.#remove(row)
    return true
  }

  /** Removes what leads to a machine by its name. Returns the rules. */
  removeMachine(machine: string): readonly ForwardRule[] {
    const gone = [...this.#rows.values()].filter(({ forward }) => forward.rule.machine === machine)
    for (const row of gone) this.#remove(row)
    return gone.map(({ forward }) => forward.rule)
  }

  /** Oldest first. */
  list({ machine, owner }: ForwardFilter = {}): readonly ForwardEntry[] {
    return [...this.#rows.values()]
      .map(({ forward }) => ({ ...forward }))
      .filter(({ rule }) => machine === undefined || rule.machine === machine)
      .filter(({ rule }) => owner === undefined || rule.owner === owner)
  }

  /** What is said of a listener that turned out not to listen. */
  refusal(rule: ForwardRule, error: unknown): unknown {
    return refusal(rule, error)
  }

  #adopt(row: Row<Listener>, rule: ForwardRule): ForwardAdded {
    this.#byId.delete(row.id)
    row.id = ++this.#lastId
    row.forward.rule = rule
    this.#byId.set(row.id, row)
    return { id: row.id, rule, adopted: true }
  }

  #remove(row: Row<Listener>): void {
    const { rule } = row.forward
    this.#rows.delete(ruleName(rule))
    this.#byId.delete(row.id)
    const key = portKey(rule)
    const beside = this.#byPort.get(key)
    beside?.delete(row)
    if (beside?.size === 0) this.#byPort.delete(key)
    this.#options.close(row.listener)
  }

  #refuse(rule: ForwardRule): void {
    const { max } = this.#options
    if (this.size >= max)
      throw new SidecarError("busy", `Cannot forward "${ruleName(rule)}": ${max} are there`)
    for (const { forward } of this.#byPort.get(portKey(rule)) ?? []) {
      if (!excludeEachOther(forward.rule, rule)) continue
      const owner = forward.rule.owner === undefined ? "" : ` of ${forward.rule.owner}`
      throw new SidecarError(
        "address-in-use",
        `Cannot forward "${ruleName(rule)}": "${ruleName(forward.rule)}"${owner} is in place`,
      )
    }
  }

  #open(forward: OpenForward): Listener {
    try {
      return this.#options.open(forward)
    } catch (error) {
      throw refusal(forward.rule, error)
    }
  }
}

const REASONS: Readonly<Record<string, readonly [code: ErrorCode, reason: string]>> = {
  EADDRINUSE: ["address-in-use", "it is in use on the host"],
  EACCES: ["permission-denied", "that port needs privileges on the host"],
  EPERM: ["permission-denied", "the host does not allow it"],
  EADDRNOTAVAIL: ["permission-denied", "that is not an address of this host"],
  EAFNOSUPPORT: ["unsupported", "the host has no such addresses"],
  EINVAL: ["bad-options", "no program can listen at that address"],
  EMFILE: ["busy", "this process has no descriptor left"],
  ENFILE: ["busy", "the host has no descriptor left"],
}

function refusal(rule: ForwardRule, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SidecarError || !("code" in error)) return error
  const known = REASONS[String(error.code)]
  if (known === undefined) return error
  const [code, reason] = known
  return new SidecarError(code, `Cannot listen on "${listenerName(rule)}": ${reason}`, { cause: error })
}

function portKey({ transport, hostPort }: ForwardRule): string {
  return `${transport} ${hostPort}`
}

function canonicalRule(rule: ForwardRule): ForwardRule {
  const hostAddress = canonicalAddress(rule.hostAddress)
  const guestAddress = rule.guestAddress === undefined ? undefined : canonicalAddress(rule.guestAddress)
  if (hostAddress === undefined || (rule.guestAddress !== undefined && guestAddress === undefined)) {
    throw new SidecarError("bad-options", `Cannot forward "${ruleName(rule)}": it has no IP address`)
  }
  return { ...rule, hostAddress, ...(guestAddress === undefined ? {} : { guestAddress }) }
}
