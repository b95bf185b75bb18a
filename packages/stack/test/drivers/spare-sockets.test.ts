/**
 * Sockets made ahead: there when one is wanted, never more than a few, and none left behind.
 *
 * @module
 */
import { readdirSync } from "node:fs"
import { available, Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { SpareSockets } from "../../src/loop/spare-sockets.ts"

/** The sockets that this process has open, by their numbers. */
function sockets(): ReadonlySet<number> {
  const open = readdirSync("/proc/self/fd").map(Number)
  return new Set(open.filter((fd) => sys.getOption(fd, sys.SOL_SOCKET, sys.SO_TYPE) === sys.SOCK_STREAM))
}

describe.runIf(available().available)("spare sockets", () => {
  it("are made when nobody waits for them, and taken then", () => {
    using loop = new Loop()
    const spare = new SpareSockets(loop.root)
    const before = sockets()
    const first = spare.take(sys.AF_INET)
    expect(first).toBeGreaterThan(0)
    expect(sockets().size).toBe(before.size + 1)
    loop.step()
    expect(sockets().size).toBe(before.size + 1)
    loop.step()
    const made = sockets()
    expect(made.size).toBe(before.size + 5)
    const second = spare.take(sys.AF_INET)
    expect(made.has(second)).toBe(true)
    expect(sockets().size).toBe(made.size)
    for (const fd of [first, second]) sys.close(fd)
  })

  it("are a few of each family, and closed with their scope", () => {
    const before = sockets()
    const loop = new Loop()
    const spare = new SpareSockets(loop.scope("host"))
    for (let turn = 0; turn < 20; turn++) {
      for (const family of [sys.AF_INET, sys.AF_INET6, sys.AF_UNIX]) sys.close(spare.take(family))
      loop.step()
    }
    expect(sockets().size).toBe(before.size + 12)
    loop[Symbol.dispose]()
    expect(sockets()).toEqual(before)
  })
})
