/**
 * Zones that are added while the network runs, in the form of gvproxy's `/services/dns/add` and `/all`.
 *
 * ```json
 * { "Name": "x.internal.", "Records": [{ "Name": "db", "IP": "192.168.64.9" }, { "Regexp": "^web-\\d+$", "IP": "…" }], "DefaultIP": "" }
 * ```
 *
 * A zone is whole: what it does not name does not exist, or has its default address.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { Question } from "../message/message.ts"
import { canonicalName, isWithin } from "../message/name.ts"
import { RCODE } from "../message/number.ts"
import type { Known } from "../message/reply.ts"
import { addressRecords, found, nothing } from "./answer.ts"
import { type Pattern, parsePattern } from "./pattern.ts"
import { RECORDS_MAX, ZONES_MAX, type Zone } from "./zone.ts"

interface Compiled {
  readonly zone: Zone
  readonly name: string
  readonly byName: ReadonlyMap<string, readonly string[]>
  readonly patterns: readonly { readonly pattern: Pattern; readonly ip: string }[]
}

/** The zones of one network. */
export class Zones {
  readonly #zones = new Map<string, Compiled>()

  /** Adds to the zone of that name: later records and a later default win. Throws "busy" when there are too many. */
  add(zone: Zone): void {
    const before = this.#zones.get(zone.Name)?.zone
    const merged: Zone = {
      Name: zone.Name,
      Records: [...zone.Records, ...(before?.Records ?? [])],
      DefaultIP: zone.DefaultIP || (before?.DefaultIP ?? ""),
    }
    let records = merged.Records.length
    for (const other of this.#zones.values()) if (other.zone !== before) records += other.zone.Records.length
    if (records > RECORDS_MAX || (before === undefined && this.#zones.size >= ZONES_MAX))
      throw new SidecarError(
        "busy",
        `Cannot add the zone "${zone.Name}": there are too many records or zones`,
      )
    this.#zones.set(zone.Name, compile(merged))
  }

  /** Removes the zone of that name, with all its records. Returns whether there was one. */
  remove(name: string): boolean {
    return this.#zones.delete(`${canonicalName(name)}.`)
  }

  all(): readonly Zone[] {
    return [...this.#zones.values()].map(({ zone }) => zone)
  }

  /** The address of a name that a zone has a record for; undefined for all others. */
  exact(question: Question): Known | undefined {
    const compiled = this.#zoneOf(question.name)
    if (compiled === undefined) return undefined
    const label = question.name.slice(0, -compiled.name.length - 1)
    const named = compiled.byName.get(label)
    if (named !== undefined) return found(compiled.name, addressRecords(question, named))
    const match = compiled.patterns.find(({ pattern }) => pattern.test(label))
    return match && found(compiled.name, addressRecords(question, [match.ip]))
  }

  /** What a zone says of names that it has no record for. */
  rest(question: Question): Known | undefined {
    const compiled = this.#zoneOf(question.name)
    if (compiled === undefined) return undefined
    const { zone, name } = compiled
    if (question.name === name) return nothing(name, RCODE.NOERROR)
    if (zone.DefaultIP === "") return nothing(name, RCODE.NXDOMAIN)
    return found(name, addressRecords(question, [zone.DefaultIP]))
  }

  /** The longest wins. */
  #zoneOf(name: string): Compiled | undefined {
    let best: Compiled | undefined
    for (const compiled of this.#zones.values()) {
      if (isWithin(name, compiled.name) && compiled.name.length > (best?.name.length ?? 0)) best = compiled
    }
    return best
  }
}

function compile(zone: Zone): Compiled {
  const byName = new Map<string, string[]>()
  const patterns: { pattern: Pattern; ip: string }[] = []
  for (const { Name, IP, Regexp } of zone.Records) {
    if (Regexp === null) addFamily(byName, Name.toLowerCase(), IP)
    else {
      const pattern = parsePattern(Regexp)
      if ("test" in pattern) patterns.push({ pattern, ip: IP })
    }
  }
  return { zone, name: canonicalName(zone.Name), byName, patterns }
}

/** One address of each family: the first, which was added last. */
function addFamily(byName: Map<string, string[]>, name: string, ip: string): void {
  const known = byName.get(name) ?? []
  if (!known.some((each) => each.includes(":") === ip.includes(":"))) known.push(ip)
  byName.set(name, known)
}
