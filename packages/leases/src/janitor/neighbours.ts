/**
 * Who answers on the networks of this host: the kernel's table of neighbours, after it has been given a reason to ask. RFC 826.
 *
 * A datagram to the discard port (RFC 863) of an address makes the kernel ask for its Ethernet address; whether anybody takes the datagram does not matter.
 *
 * @module
 */
import { createSocket } from "node:dgram"
import { readFileSync } from "node:fs"
import { sleep } from "@skep/runtime/deadline"
import type { Octets } from "../model.ts"
import { macOfText } from "../owners/machine.ts"
import { ownAddressFinder } from "../servers/own-addresses.ts"
import { runProgram } from "../servers/programs.ts"
import type { RunProgram } from "../servers/server.ts"

export interface Neighbours {
  /** What the kernel knows already; undefined where it cannot be asked. */
  known(signal: AbortSignal): Promise<ReadonlyMap<string, Octets> | undefined>
  /** The same, after each of these addresses was asked; undefined where none of them is on a network of this host. */
  asked(addresses: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Octets> | undefined>
}

const DISCARD_PORT = 9
/** Nobody who is there needs longer, not even one that sleeps. */
const ANSWER_MS = 1500
/**
 * An entry of somebody who was there a while ago is as complete as any: Linux uses it for five seconds more, then asks three times, and only then drops it. dnsmasq makes such
 * entries itself for clients that it answers.
 */
const FORGET_MS = 9000
const PACE_MS = 500
/** At a time: more than a thousand unanswered ones fill the kernel's table, and it forgets them after 3 s. */
const BATCH = 256
/** A complete entry of Linux' /proc/net/arp. */
const COMPLETE = 0x2

/** Those of this host. */
export function hostNeighbours(
  platform: NodeJS.Platform = process.platform,
  run: RunProgram = runProgram,
): Neighbours {
  const table = async (signal: AbortSignal): Promise<ReadonlyMap<string, Octets> | undefined> => {
    try {
      if (platform === "linux") return linuxTable(readFileSync("/proc/net/arp", "utf8"))
      return macosTable(await run("arp", ["-an"], signal))
    } catch (error) {
      if (signal.aborted) throw error
      return undefined // then nobody can say
    }
  }
  return {
    known: table,
    asked: async (addresses, signal) => {
      const near = ownAddressFinder()
      const local = addresses.filter((address) => near(address) !== undefined)
      if (local.length === 0) return undefined
      return await answersOf(local, {
        ask,
        table: () => table(signal),
        pause: (ms) => sleep(ms, signal),
      })
    },
  }
}

export interface Asking {
  readonly ask: (addresses: readonly string[]) => Promise<void>
  readonly table: () => Promise<ReadonlyMap<string, Octets> | undefined>
  readonly pause: (ms: number) => Promise<void>
}

/**
 * Who of these answers, and all else that the kernel knows; undefined where it cannot be asked. Batches are asked one after the other, and each is waited for by itself: it is
 * over when nobody has answered in time, or when those who have are there for longer than the kernel would believe it without asking.
 */
export async function answersOf(
  addresses: readonly string[],
  { ask, table, pause }: Asking,
): Promise<ReadonlyMap<string, Octets> | undefined> {
  const answers = new Map<string, Octets>()
  let waiting: { readonly batch: readonly string[]; readonly since: number }[] = []
  let next = 0
  let known: ReadonlyMap<string, Octets> | undefined
  for (let elapsed = 0; next < addresses.length || waiting.length > 0; elapsed += PACE_MS) {
    if (elapsed % ANSWER_MS === 0 && next < addresses.length) {
      const batch = addresses.slice(next, next + BATCH)
      next += BATCH
      await ask(batch)
      waiting.push({ batch, since: elapsed })
    }
    await pause(PACE_MS)
    const now = await table()
    if (now === undefined) return undefined
    known = now
    waiting = waiting.filter(({ batch, since }) => {
      const waited = elapsed + PACE_MS - since
      if (waited < ANSWER_MS) return true
      const there = batch.filter((address) => now.has(address))
      if (there.length > 0 && waited < FORGET_MS) return true
      for (const address of there) answers.set(address, now.get(address) ?? "")
      return false
    })
  }
  const asked = new Set(addresses)
  return new Map([...[...(known ?? [])].filter(([address]) => !asked.has(address)), ...answers])
}

async function ask(addresses: readonly string[]): Promise<void> {
  const socket = createSocket("udp4")
  try {
    await Promise.all(
      addresses.map(
        (address) =>
          new Promise<void>((resolve) => {
            // That nobody is there is what is to be found out.
            socket.send(new Uint8Array(1), DISCARD_PORT, address, () => resolve())
          }),
      ),
    )
  } finally {
    socket.close()
  }
}

export function linuxTable(text: string): ReadonlyMap<string, Octets> {
  const rows = text.split("\n").slice(1)
  return new Map(
    rows.flatMap((row) => {
      const [address = "", , flags = "", hardware = ""] = row.trim().split(/\s+/)
      const mac = macOfText(hardware)
      return mac === undefined || (Number(flags) & COMPLETE) === 0 ? [] : [[address, mac] as const]
    }),
  )
}

/** `? (192.168.64.5) at 52:54:0:9c:22:d7 on bridge100 ifscope [bridge]`, or `(incomplete)`. */
export function macosTable(text: string): ReadonlyMap<string, Octets> {
  return new Map(
    [...text.matchAll(/\(([\d.]+)\) at ([0-9a-f:]+) /g)].flatMap(([, address = "", hardware = ""]) => {
      const mac = macOfText(hardware)
      return mac === undefined ? [] : [[address, mac] as const]
    }),
  )
}
