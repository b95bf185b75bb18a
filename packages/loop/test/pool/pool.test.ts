import { closeSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { Loop, SyscallPool } from "@skep/loop"
import { Iovecs, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"

/** Real files, other processes and threads, on a machine that may be busy. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let pool: SyscallPool
let directory: TemporaryDirectory
const scratch = new Scratch(2 ** 20)
const data = scratch.region("data", 2 ** 18)
const iovecs = new Iovecs(scratch, "iovecs")

beforeAll(async () => {
  pool = await SyscallPool.start()
  directory = await temporaryDirectory()
})

afterAll(async () => {
  pool[Symbol.dispose]()
  await directory[Symbol.asyncDispose]()
})

function one(call: (done: (result: number) => void) => boolean): number {
  const results: number[] = []
  expect(call((result) => results.push(result))).toBe(true)
  pool.drain()
  expect(results).toHaveLength(1)
  return results[0] ?? Number.NaN
}

describe("SyscallPool", () => {
  it("makes each of its calls, with what the kernel says", () => {
    const path = directory.at("calls")
    writeFileSync(path, "")
    const fd = openSync(path, "r+")
    data.bytes.set(Buffer.from("bees!"))
    iovecs.clear()
    iovecs.push(data.address, 2)
    iovecs.push(data.address + 2, 3)
    expect(one((done) => pool.pwritev(fd, iovecs.address, iovecs.count, 5 * 2 ** 30, done))).toBe(5)
    expect(statSync(path).size).toBe(5 * 2 ** 30 + 5)
    data.bytes.fill(0)
    expect(one((done) => pool.preadv(fd, iovecs.address, iovecs.count, 5 * 2 ** 30 + 1, done))).toBe(4)
    expect(Buffer.from(data.bytes.subarray(0, 5)).toString()).toBe("ees!\0")
    expect(one((done) => pool.fsync(fd, done))).toBe(0)
    expect(one((done) => pool.fdatasync(fd, done))).toBe(0)
    expect(one((done) => pool.fallocate(fd, sys.FALLOC_FL_KEEP_SIZE, 0, 4096, done))).toBe(0)
    expect(statSync(path).blocks).toBeGreaterThanOrEqual(8)
    const from = { fd, offset: 5 * 2 ** 30 }
    expect(one((done) => pool.copyFileRange(from, { fd, offset: 1 }, 4, done))).toBe(4)
    const start = Buffer.alloc(6)
    expect(sys.pread(fd, data.address, 6, 0)).toBe(6)
    start.set(data.bytes.subarray(0, 6))
    expect(start.toString()).toBe("\0bees\0")
    closeSync(fd)
    expect(one((done) => pool.fsync(-1, done))).toBe(-sys.EBADF)
    expect(one((done) => pool.fallocate(fd + 1000, 0, 0, 1, done))).toBe(-sys.EBADF)
  })

  it("copies iovecs: theirs may be used again at once", () => {
    const path = directory.at("copied")
    writeFileSync(path, "")
    const fd = openSync(path, "r+")
    for (let index = 0; index < 100; index++) {
      data.bytes[index] = index
      iovecs.clear()
      iovecs.push(data.address + index, 1)
      expect(pool.pwritev(fd, iovecs.address, 1, index, () => undefined)).toBe(true)
    }
    pool.drain()
    expect([...readFileSync(path)]).toEqual(Array.from({ length: 100 }, (_, index) => index))
    closeSync(fd)
  })

  it("refuses what is more than 1024 at a time, and calls each done once", () => {
    const counts = new Map<number, number>()
    let accepted = 0
    for (let index = 0; index < 3000; index++) {
      const taken = pool.fsync(-1, () => counts.set(index, (counts.get(index) ?? 0) + 1))
      if (taken) accepted++
      expect(pool.inFlight).toBeLessThanOrEqual(1024)
    }
    pool.drain()
    expect(accepted).toBe(1024)
    expect([...counts.values()]).toEqual(Array.from({ length: accepted }, () => 1))
    expect(pool.inFlight).toBe(0)
  })

  it("refuses more iovecs than the kernel takes", () => {
    expect(pool.preadv(-1, iovecs.address, 1025, 0, () => undefined)).toBe(false)
    expect(pool.pwritev(-1, iovecs.address, 1025, 0, () => undefined)).toBe(false)
    expect(pool.inFlight).toBe(0)
  })

  it("drains what a done begins", () => {
    let ended = false
    pool.fsync(-1, () => void pool.fsync(-1, () => (ended = true)))
    pool.drain()
    expect(ended).toBe(true)
  })

  it("has a loop take what is done", () => {
    using loop = new Loop({ maxWaitMs: 1000 })
    pool.attach(loop.root)
    let left = 500
    for (let index = 0; index < 500; index++)
      pool.fsync(-1, (result) => {
        expect(result).toBe(-sys.EBADF)
        left--
        // Some begin another, after the loop has been woken.
        if (index % 5 === 0) pool.fdatasync(-1, () => left === 0 && loop.stop())
        if (left === 0 && pool.inFlight === 0) loop.stop()
      })
    loop.run()
    expect(left).toBe(0)
    pool.drain()
  })

  it("gives every job its own result, whatever is under way beside it", () => {
    const path = directory.at("many")
    writeFileSync(path, Buffer.from(Array.from({ length: 256 }, (_, index) => index)))
    const fd = openSync(path, "r")
    fc.assert(
      fc.property(fc.array(fc.nat(300), { minLength: 1, maxLength: 200 }), (offsets) => {
        const results: number[] = []
        for (const [index, offset] of offsets.entries()) {
          iovecs.clear()
          iovecs.push(data.address + index, 1)
          data.bytes[index] = 77
          pool.preadv(fd, iovecs.address, 1, offset, (result) => (results[index] = result))
        }
        pool.drain()
        expect(results).toEqual(offsets.map((offset) => (offset < 256 ? 1 : 0)))
        for (const [index, offset] of offsets.entries())
          expect(data.bytes[index]).toBe(offset < 256 ? offset : 77)
      }),
      { numRuns: 50 },
    )
    closeSync(fd)
  })

  it("ends its threads, twice without harm, and refuses afterwards", async () => {
    const other = await SyscallPool.start({ threads: 3 })
    other.fsync(-1, () => undefined)
    other[Symbol.dispose]()
    other[Symbol.dispose]()
    expect(other.fsync(-1, () => undefined)).toBe(false)
    expect(other.inFlight).toBe(0)
  })

  it("says when its threads' program cannot be run", async () => {
    await expect(SyscallPool.start({ entry: new URL("file:///nowhere.js") })).rejects.toThrow("nowhere.js")
  })
})
