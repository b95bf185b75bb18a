import { describe, expect, it } from "vitest"
import { answersOf } from "../../src/janitor/neighbours.ts"

const MAC = "52:54:00:00:00:01"

/** A kernel: who is there answers at once, who has gone is believed to be there for `forgetMs` after he was asked. */
function kernel(there: (address: string) => boolean, gone: (address: string) => boolean = () => false) {
  let now = 0
  const asked = new Map<string, number>()
  const batches: number[] = []
  const table = async () =>
    new Map(
      [...asked]
        .filter(([address, at]) => there(address) || (gone(address) && now - at < 8500))
        .map(([address]) => [address, MAC] as const),
    )
  const ask = async (addresses: readonly string[]): Promise<void> => {
    batches.push(addresses.length)
    for (const address of addresses) asked.set(address, now)
  }
  const pause = async (ms: number): Promise<void> => void (now += ms)
  return { ask, table, pause, batches, elapsed: () => now }
}

const addresses = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255}`)

describe("answersOf()", () => {
  it("asks all of them, no more at a time than a kernel remembers, and finds each who is there", async () => {
    const all = addresses(3000)
    const isThere = (address: string): boolean => address.endsWith(".7")
    const host = kernel(isThere)
    const answers = await answersOf(all, host)
    expect([...(answers?.keys() ?? [])].toSorted()).toEqual(all.filter(isThere).toSorted())
    expect(Math.max(...host.batches)).toBeLessThanOrEqual(256)
    expect(host.batches.reduce((sum, each) => sum + each)).toBe(3000)
    expect(host.elapsed()).toBeLessThan(30_000)
  })

  it("does not believe what the kernel only remembers, and waits no longer than that where nobody is", async () => {
    const host = kernel(
      () => false,
      (address) => address === "10.0.0.3",
    )
    expect((await answersOf(addresses(10), host))?.size).toBe(0)
    expect(host.elapsed()).toBe(8500)
    const nobody = kernel(() => false)
    await answersOf(addresses(10), nobody)
    expect(nobody.elapsed()).toBe(1500)
  })

  it("says nothing where the kernel does not", async () => {
    const host = { ...kernel(() => true), table: async () => undefined }
    expect(await answersOf(addresses(1), host)).toBeUndefined()
  })
})
