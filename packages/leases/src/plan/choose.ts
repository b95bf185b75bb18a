/**
 * Which leases go: pure. Nothing that a machine has, nothing that is reserved, whatever is asked for.
 *
 * @module
 */
import { type LeaseChoice, SidecarError, type SweepRule } from "@skep/contract"
import { macOf } from "../model.ts"
import { macOfText } from "../owners/machine.ts"
import { type Judged, keyOf } from "./judge.ts"

export interface PruneWish extends SweepRule {
  /** Only leases of these machines, or of clients that call themselves so. */
  readonly machines?: readonly string[]
  readonly macs?: readonly string[]
  readonly addresses?: readonly string[]
}

/** For a sweep, and for `prune`: what is over, or with `stale`, or named, also what is not. */
export function chosenBy(judged: readonly Judged[], wish: PruneWish, now: number): readonly Judged[] {
  const isNamed = namedBy(wish)
  const named = isNamed !== undefined
  const before = wish.olderThanMs === undefined ? undefined : now - wish.olderThanMs
  return judged.filter((each) => {
    if (isNamed?.(each) === false) return false
    return mayGo(each, wish.stale === true || named, now, before)
  })
}

function mayGo(
  { lease, kind, owner }: Judged,
  unexpiredToo: boolean,
  now: number,
  before: number | undefined,
): boolean {
  if (kind === "live" || kind === "reserved" || kind === "free") return false
  // The machine gets its address again as long as the entry is there.
  if (owner !== undefined && kind !== "duplicate") return false
  const over = lease.expires !== undefined && lease.expires <= now
  // "superseded" is for `together` to take with the newer one: alone it frees nothing.
  if (lease.state === "superseded") return false
  if (before !== undefined) return over && (lease.expires ?? now) <= before
  return over || unexpiredToo
}

/** Undefined where nothing is named. */
function namedBy({ machines, macs, addresses }: PruneWish): ((judged: Judged) => boolean) | undefined {
  if (machines === undefined && macs === undefined && addresses === undefined) return undefined
  const wantedMacs = macs?.map(checkedMac)
  const wantedNames = machines?.map((name) => name.toLowerCase())
  return ({ lease, owner }) => {
    if (addresses !== undefined && !addresses.includes(lease.address)) return false
    if (wantedMacs !== undefined && !wantedMacs.includes(macOf(lease) ?? "")) return false
    if (wantedNames === undefined) return true
    return [lease.machine, lease.name, lease.name?.split(".")[0], owner?.machine].some(
      (name) => name !== undefined && wantedNames.includes(name.toLowerCase()),
    )
  }
}

function checkedMac(text: string): string {
  const mac = macOfText(text)
  if (mac !== undefined) return mac
  throw new SidecarError("bad-options", `Cannot use "${text}" as a MAC address: it is none`, {
    next: "Write six bytes in hexadecimal, such as 52:54:00:0a:0b:0c",
  })
}

/**
 * For `giveBack`: exactly what is said, whoever has it, but for a machine that runs. Throws "bad-options" where nothing is said, "not-found", "busy".
 */
export function releasedBy(judged: readonly Judged[], choice: LeaseChoice): readonly Judged[] {
  const { key, address, mac, machine } = choice
  if ([key, address, mac, machine].every((each) => each === undefined)) {
    throw new SidecarError("bad-options", "Cannot release a lease: it is not said which one", {
      next: 'Say "address", "mac", "machine" or "key"',
    })
  }
  const wantedMac = mac === undefined ? undefined : checkedMac(mac)
  const found = judged.filter((each) => {
    const { lease, kind, owner } = each
    return (
      kind !== "reserved" &&
      (key === undefined || keyOf(each) === key) &&
      (address === undefined || lease.address === address) &&
      (wantedMac === undefined || macOf(lease) === wantedMac) &&
      (machine === undefined || lease.machine === machine || owner?.machine === machine)
    )
  })
  if (found.length === 0)
    throw new SidecarError("not-found", `Cannot release the lease of ${said(choice)}: there is none`)
  const used = found.find(({ owner }) => owner?.running === true)
  if (used === undefined) return found
  throw new SidecarError(
    "busy",
    `Cannot release ${used.lease.address}: the machine ${used.owner?.machine} runs`,
    {
      next: "Stop the machine first",
    },
  )
}

function said({ address, machine, mac, key }: LeaseChoice): string {
  return [address, machine, mac, key].filter((each) => each !== undefined).join(", ")
}
