/**
 * Flows by key: equal keys find each other, and a table is a map even where hashes collide.
 *
 * @module
 */
import fc from "fast-check"
import { expect, it } from "vitest"
import { FlowKey, FlowTable } from "../../src/flow/key.ts"

class Entry {
  chained: Entry | undefined
  readonly key: FlowKey
  constructor(port: number, hash?: number) {
    this.key = keyOf(port)
    if (hash !== undefined) this.key.hash = hash
  }
}

function keyOf(port: number, protocol = 6): FlowKey {
  return new FlowKey().fromEndpoints(
    protocol,
    Uint8Array.of(10, 0, 0, 1),
    port,
    Uint8Array.of(10, 0, 0, 2),
    80,
  )
}

it("tells ports, addresses, protocols and versions apart", () => {
  const v6 = new Uint8Array(16)
  const keys = [
    keyOf(1),
    keyOf(2),
    keyOf(1, 17),
    new FlowKey().fromEndpoints(6, Uint8Array.of(10, 0, 0, 2), 1, Uint8Array.of(10, 0, 0, 1), 80),
    new FlowKey().fromEndpoints(6, v6, 1, v6, 80),
    new FlowKey().fromEndpoints(6, new Uint8Array(4), 1, new Uint8Array(4), 80),
  ]
  for (const [index, key] of keys.entries())
    expect(keys.map((other) => key.equals(other))).toEqual(keys.map((_, other) => other === index))
  expect(keyOf(1).equals(keyOf(1).copy())).toBe(true)
})

it("is a map, with three hashes for all", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(30)), { maxLength: 200 }), (steps) => {
      const table = new FlowTable<Entry>()
      const model = new Map<number, Entry>()
      for (const [adds, port] of steps) {
        const there = model.get(port)
        if (adds && there === undefined) {
          const entry = new Entry(port, port % 3)
          table.add(entry)
          model.set(port, entry)
        } else if (!adds) {
          expect(table.delete(there ?? new Entry(port, port % 3))).toBe(there !== undefined)
          model.delete(port)
        }
        expect(table.size).toBe(model.size)
        expect(new Set(table.all())).toEqual(new Set(model.values()))
        for (let each = 0; each <= 30; each++)
          expect(table.get(new Entry(each, each % 3).key)).toBe(model.get(each))
      }
    }),
    { numRuns: 50 },
  )
})
