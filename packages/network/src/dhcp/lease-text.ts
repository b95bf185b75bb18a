/**
 * What a lease file says: text to leases and back, without losing what somebody else wrote into it. The format is in lease-file.md.
 *
 * @module
 */
import { addressOf } from "./address.ts"
import type { Lease } from "./lease.ts"
import { type KeptAddress, NOTHING_REMEMBERED, type Remembered } from "./remembered.ts"

const FORMAT = "skep-leases"
const VERSION = 1

type Fields = Readonly<Record<string, unknown>>

export interface LeaseText {
  /** The network that they are of, where the file says it. */
  readonly network?: string
  readonly leases: readonly Lease[]
  readonly remembered: Remembered
  /** Fields of the file that are not ours. */
  readonly more: Fields
  /** Fields of each lease that are not ours, by `idOf`. */
  readonly moreOf: ReadonlyMap<string, Fields>
  /** Entries that are no leases, or second ones of the same. They stay. */
  readonly strange: readonly unknown[]
}

export const EMPTY: LeaseText = {
  leases: [],
  remembered: NOTHING_REMEMBERED,
  more: {},
  moreOf: new Map(),
  strange: [],
}

/** One entry of the file: an address and whose it is. */
export function idOf({ address, machine = "", clientId, mac }: Lease): string {
  return `${address} ${machine} ${clientId ?? mac}`
}

/** A sentence that says what is wrong, where the text is no lease file of a version that this program knows. Never throws. */
export function parseLeases(text: string): LeaseText | string {
  const input = parseJson(text)
  if (!isFields(input)) return "it is no JSON object"
  const { format, version, network, leases, ...others } = input
  if (format !== FORMAT) return `its format is not "${FORMAT}"`
  if (version !== VERSION) return `its version is ${JSON.stringify(version)}, this program knows ${VERSION}`
  if (!Array.isArray(leases)) return "it has no list of leases"
  const known = new Map<string, Lease>()
  const moreOf = new Map<string, Fields>()
  const strange: unknown[] = []
  for (const entry of leases as readonly unknown[]) {
    const lease = isFields(entry) ? leaseOf(entry) : undefined
    if (lease === undefined || !isFields(entry) || known.has(idOf(lease))) {
      strange.push(entry)
      continue
    }
    known.set(idOf(lease), lease)
    const others = Object.entries(entry).filter(([name]) => !OURS.has(name))
    if (others.length > 0) moreOf.set(idOf(lease), Object.fromEntries(others))
  }
  return {
    ...(typeof network === "string" ? { network } : {}),
    leases: [...known.values()],
    ...rememberedIn(others),
    moreOf,
    strange,
  }
}

/** Whether a text that is no lease file is something else, which somebody may want, and not what is left of a lease file. */
export function isOfOthers(text: string): boolean {
  const input = parseJson(text)
  if (isFields(input)) return input["format"] !== FORMAT && Object.keys(input).length > 0
  if (Array.isArray(input)) return input.length > 0
  if (input === null) return false
  return /^[^\s\0{]/.test(text.replace(/^[\s\0]+/, ""))
}

/** In the order of their addresses, so that two files can be compared by eye. */
export function printLeases(
  { leases, remembered, more, moreOf, strange }: LeaseText,
  network: string,
): string {
  const sorted = leases.toSorted(
    (one, other) => (addressOf(one.address) ?? 0) - (addressOf(other.address) ?? 0),
  )
  const entries = sorted.map((lease) => ({
    ...lease,
    granted: timeText(lease.granted),
    renewed: timeText(lease.renewed),
    expires: timeText(lease.expires),
    ...moreOf.get(idOf(lease)),
  }))
  const { reservations, former } = remembered
  const file = {
    format: FORMAT,
    version: VERSION,
    network,
    ...more,
    ...(reservations.length === 0 ? {} : { reservations }),
    ...(former.length === 0 ? {} : { former }),
    leases: [...entries, ...strange],
  }
  return `${JSON.stringify(file, null, 2)}\n`
}

const OURS: ReadonlySet<string> = new Set([
  "address",
  "mac",
  "clientId",
  "machine",
  "hostName",
  "granted",
  "renewed",
  "expires",
])

function leaseOf(entry: Fields): Lease | undefined {
  const { address, mac, clientId, machine, hostName } = entry
  const [granted, renewed, expires] = [entry["granted"], entry["renewed"], entry["expires"]].map(timeOf)
  if (typeof address !== "string" || addressOf(address) === undefined) return undefined
  if (typeof mac !== "string" || !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) return undefined
  if (granted === undefined || renewed === undefined || expires === undefined) return undefined
  if (!isText(clientId) || !isText(machine) || !isText(hostName)) return undefined
  return {
    address,
    mac,
    ...(clientId === undefined ? {} : { clientId }),
    ...(machine === undefined ? {} : { machine }),
    ...(hostName === undefined ? {} : { hostName }),
    granted,
    renewed,
    expires,
  }
}

/** Of the file's own fields: lists of addresses. One that is something else stays as it is, until there is something to be said in its place. */
function rememberedIn(fields: Fields): Pick<LeaseText, "remembered" | "more"> {
  const { reservations, former, ...more } = fields
  const [reserved, had] = [keptIn(reservations), keptIn(former)]
  return {
    remembered: { reservations: reserved ?? [], former: had ?? [] },
    more: {
      ...(reserved === undefined && reservations !== undefined ? { reservations } : {}),
      ...(had === undefined && former !== undefined ? { former } : {}),
      ...more,
    },
  }
}

function keptIn(value: unknown): readonly KeptAddress[] | undefined {
  if (!Array.isArray(value)) return undefined
  const entries = (value as readonly unknown[]).map((entry) => {
    const { machine, address } = isFields(entry) ? entry : {}
    const isKept =
      typeof machine === "string" && typeof address === "string" && addressOf(address) !== undefined
    return isKept ? { machine, address } : undefined
  })
  return entries.every((entry) => entry !== undefined) ? entries : undefined
}

function isText(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string"
}

function timeText(time: number): string {
  return new Date(time).toISOString()
}

function timeOf(value: unknown): number | undefined {
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the caller says what it is not
  }
}
