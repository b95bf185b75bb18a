/**
 * Changes to the lease file of a network that does not run, as lease-file.md says others may make them. One that runs after all takes them over with its next
 * write.
 *
 * @module
 */
import { readFile } from "node:fs/promises"
import { errnoOf, waitForLock, writeFileWhole } from "@skep/runtime"
import type { Lease } from "./lease.ts"
import { type LeaseText, parseLeases, printLeases } from "./lease-text.ts"
import { Former, type KeptAddress } from "./remembered.ts"

const LOCK_DEADLINE_MS = 5000

/**
 * Takes the leases of machines that are gone out of the file at `path`, and remembers what they were. Returns them; none where there is no file, or one that is not
 * understood. Throws "busy" where another process has the lock for too long, and what the disk refuses.
 */
export async function giveBackInFile(
  path: string,
  isGone: (machine: string) => boolean,
  signal: AbortSignal,
): Promise<readonly Lease[]> {
  let gone: readonly Lease[] = []
  await change(path, signal, (text) => {
    gone = text.leases.filter(({ machine }) => machine !== undefined && isGone(machine))
    if (gone.length === 0) return undefined
    const former = new Former()
    for (const each of text.remembered.former) former.add(each)
    for (const { machine, address } of gone) if (machine !== undefined) former.add({ machine, address })
    const leases = text.leases.filter((lease) => !gone.includes(lease))
    return { ...text, leases, remembered: { ...text.remembered, former: former.list() } }
  })
  return gone
}

/** Reserves the address that a machine has, or had before it was removed, by the file at `path`. Returns it; undefined where it has none. Throws as above. */
export async function reserveInFile(
  path: string,
  machine: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  let address: string | undefined
  await change(path, signal, (text) => {
    const { reservations, former } = text.remembered
    address = addressOfMachine(text, machine)
    if (address === undefined || reservations.some((kept) => kept.machine === machine)) return undefined
    const kept = [...reservations, { machine, address }]
    return { ...text, remembered: { former, reservations: kept.toSorted(byMachine) } }
  })
  return address
}

/** Reserved, leased last, or had. */
function addressOfMachine({ leases, remembered }: LeaseText, machine: string): string | undefined {
  const isOwn = (each: { readonly machine?: string }): boolean => each.machine === machine
  const newest = leases.filter(isOwn).toSorted((one, other) => other.renewed - one.renewed)[0]
  const former = remembered.former.find(isOwn)?.address
  const isOthers = [...leases, ...remembered.reservations].some(
    (each) => each.address === former && !isOwn(each),
  )
  return remembered.reservations.find(isOwn)?.address ?? newest?.address ?? (isOthers ? undefined : former)
}

function byMachine(one: KeptAddress, other: KeptAddress): number {
  return one.machine < other.machine ? -1 : 1
}

async function change(
  path: string,
  signal: AbortSignal,
  changed: (text: LeaseText) => LeaseText | undefined,
): Promise<void> {
  if ((await read(path)) === undefined) return
  using _lock = await waitForLock(`${path}.lock`, LOCK_DEADLINE_MS, signal)
  const before = await read(path)
  if (before?.network === undefined) return
  const after = changed(before)
  if (after !== undefined) await writeFileWhole(path, printLeases(after, before.network))
}

/** Undefined where there is none, or where its network will say at its start what is wrong with it. */
async function read(path: string): Promise<LeaseText | undefined> {
  try {
    const text = parseLeases(await readFile(path, "utf8"))
    return typeof text === "string" ? undefined : text
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined
    throw error
  }
}
