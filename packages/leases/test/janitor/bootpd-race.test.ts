import { describe, expect, it } from "vitest"
import { bootpd as format } from "../../src/formats/bootpd.ts"
import { removeLeases } from "../../src/janitor/remove.ts"
import { Keys } from "../../src/plan/keys.ts"
import { bootpd } from "../../src/servers/bootpd.ts"
import type { LeaseServer } from "../../src/servers/server.ts"
import { MemoryDisk } from "../file/memory-disk.ts"

const SEEDS = 1000
const PATH = "/var/db/dhcpd_leases"
const START = 1_800_000_000

describe("removeLeases() beside a bootpd that writes at any moment", () => {
  it(`loses no live lease, and takes those away that it was to (${SEEDS} interleavings)`, async () => {
    let races = 0
    for (let seed = 1; seed <= SEEDS; seed++) races += await race(seed)
    // Otherwise nothing was shown.
    expect(races).toBeGreaterThan(SEEDS / 10)
  })
})

/** Returns 1 where the janitor had to start over. */
async function race(seed: number): Promise<number> {
  const random = numbers(seed)
  const disk = new MemoryDisk()
  const server = new Bootpd(disk)
  for (let index = 0; index < 6; index++) server.grant(index)
  const before = format.parse(disk.content(PATH) ?? new Uint8Array(), PATH)
  const stale = before.leases.filter((_, index) => index % 2 === 0)
  let writes = 0
  let attempts = 0
  disk.onStep = (_, name) => {
    if (name === "flags") attempts++
    if (writes >= 4 || random() > 0.15) return
    writes++
    // Somebody new, or a machine that was alive all along.
    server.grant(random() < 0.5 ? 100 + writes : 1)
  }
  const host: LeaseServer = {
    ...bootpd,
    isRunning: async () => true,
    tell: async () => {
      server.restart()
    },
  }
  const named = new Keys(before)
  const keys = new Set(stale.map((lease) => named.of(lease)))
  await removeLeases(PATH, keys, {
    format,
    disk,
    server: host,
    host: { run: async () => "", root: "/", platform: "darwin" },
    now: () => START * 1000,
    signal: new AbortController().signal,
    wait: async () => undefined,
  })
  disk.revive()
  const left = format.parse(disk.content(PATH) ?? new Uint8Array(), PATH)
  expect(left.problems).toEqual([])
  const there = new Map(left.leases.map((lease) => [lease.address, lease]))
  for (const [client, expires] of server.granted) {
    const address = addressOf(client)
    const isStale = stale.some((lease) => lease.address === address)
    if (!isStale)
      expect([seed, address, there.get(address)?.expires]).toEqual([seed, address, expires * 1000])
  }
  const after = new Keys(left)
  for (const lease of left.leases) expect(keys.has(after.of(lease))).toBe(false)
  server.restart()
  expect(server.memory.size).toBe(left.leases.length)
  return attempts > 1 ? 1 : 0
}

/** What dhcpd.c does: a list in memory, written whole to another file and renamed with each lease that it gives. */
class Bootpd {
  memory = new Map<number, number>()
  /** What clients were promised, the latest of each. */
  readonly granted = new Map<number, number>()
  readonly #disk: MemoryDisk
  #time = START

  constructor(disk: MemoryDisk) {
    this.#disk = disk
  }

  grant(client: number): void {
    const expires = ++this.#time + 86_400
    this.memory.delete(client)
    this.memory = new Map([[client, expires], ...this.memory])
    this.granted.set(client, expires)
    const text = [...this.memory].map(([each, until]) => entry(each, until)).join("")
    this.#disk.put(PATH, new TextEncoder().encode(text))
  }

  /** It is killed, and reads the file when it starts. */
  restart(): void {
    const { leases } = format.parse(this.#disk.content(PATH) ?? new Uint8Array(), PATH)
    this.memory = new Map(
      leases.map(({ address, expires = 0 }) => [Number(address.split(".")[3]) - 2, expires / 1000]),
    )
  }
}

function entry(client: number, expires: number): string {
  const mac = `1,52:54:0:9c:22:${client.toString(16)}`
  return `{\n\tname=vm${client}\n\tip_address=${addressOf(client)}\n\thw_address=${mac}\n\tidentifier=${mac}\n\tlease=0x${expires.toString(16)}\n}\n`
}

function addressOf(client: number): string {
  return `192.168.64.${client + 2}`
}

/** mulberry32 */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
