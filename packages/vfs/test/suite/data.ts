/**
 * Cases about the bytes of files: reading, writing, holes, allocation, copies, large offsets.
 *
 * @module
 */
import { expect } from "vitest"
import type { Check } from "./check.ts"
import { bytes, O_APPEND, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, type Rig, sure } from "./rig.ts"

const KEEP_SIZE = 1
const PUNCH_HOLE = 2
const ZERO_RANGE = 0x10
const SEEK_DATA = 3
const SEEK_HOLE = 4
const GIB = 2 ** 30
const BLOCK = 65_536

export function dataCases(check: Check): void {
  readWriteCases(check)
  modeCases(check)
  holeCases(check)
  allocationCases(check)
  copyCases(check)
}

/** Bytes that tell where they are from. */
function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8) * 7 + seed) & 0xff)
}

function readWriteCases(check: Check): void {
  check("what is written is read, at any offset and in pieces of any size", async (rig) => {
    const { node, handle } = rig.create("a")
    const content = pattern(200_000)
    expect(await rig.write(handle, 0, content, 4096)).toBe(200_000)
    expect(await rig.read(handle, 0, 200_000, 1234)).toEqual(content)
    expect(await rig.write(handle, 4090, pattern(5000, 9), 7)).toBe(5000)
    content.set(pattern(5000, 9), 4090)
    expect(await rig.read(handle, 4000, 6000, 4096)).toEqual(content.subarray(4000, 10_000))
    expect(rig.stat(node).size).toBe(200_000)
    rig.fs.release(handle)
  })

  check("a read ends at the end of the file", async (rig) => {
    const { handle } = rig.create("a")
    sure(await rig.write(handle, 0, "0123456789"))
    expect(await rig.readText(handle, 8, 100)).toBe("89")
    expect(await rig.readText(handle, 10, 100)).toBe("")
    expect(await rig.readText(handle, 1_000_000, 100)).toBe("")
    expect(await rig.readText(handle, 0, 0)).toBe("")
    rig.fs.release(handle)
  })

  check("a write beyond the end leaves zeros between", async (rig) => {
    const { node, handle } = rig.create("a")
    expect(await rig.write(handle, 5, "x")).toBe(1)
    expect(await rig.readText(handle, 0, 10)).toBe("\0\0\0\0\0x")
    expect(await rig.write(handle, 100, "")).toBe(0)
    expect(rig.stat(node).size).toBe(6)
    rig.fs.release(handle)
  })

  check("cutting a file and growing it again leaves zeros, not what was there", async (rig) => {
    const { node, handle } = rig.create("a")
    sure(await rig.write(handle, 0, pattern(10_000)))
    sure(rig.change(node, { size: 100 }, handle))
    sure(rig.change(node, { size: 10_000 }, handle))
    const content = new Uint8Array(10_000)
    content.set(pattern(100))
    expect(await rig.read(handle, 0, 10_000)).toEqual(content)
    rig.fs.release(handle)
  })

  check("offsets below zero are EINVAL", async (rig) => {
    const { handle } = rig.create("a")
    expect(await rig.readText(handle, -1, 10)).toBe("EINVAL")
    expect(await rig.write(handle, -1, "x")).toBe("EINVAL")
    rig.fs.release(handle)
  })

  check("many operations under way at once each end once, with their own result", async (rig) => {
    const { handle } = rig.create("a")
    const parts = Array.from({ length: 50 }, (_, index) => index)
    const written = parts.map((index) => rig.write(handle, index * 100, pattern(100, index)))
    expect(await Promise.all(written)).toEqual(parts.map(() => 100))
    const read = await Promise.all(parts.map((index) => rig.read(handle, index * 100, 100)))
    expect(read).toEqual(parts.map((index) => pattern(100, index)))
    rig.fs.release(handle)
  })

  check("what was written is synced, of directories too", async (rig) => {
    const { handle } = rig.create("a")
    sure(await rig.write(handle, 0, "x"))
    expect(await rig.sync(handle)).toBe(0)
    expect(await rig.sync(handle, true)).toBe(0)
    rig.fs.release(handle)
    const directory = sure(rig.openDirectory())
    expect(await rig.sync(directory)).toBe(0)
    rig.fs.releaseDirectory(directory)
  })
}

function modeCases(check: Check): void {
  check("O_TRUNC empties a file as it is opened", async (rig) => {
    const node = await rig.file("a", rig.root, "content")
    const handle = sure(rig.open(node, O_WRONLY | O_TRUNC))
    expect(rig.stat(node).size).toBe(0)
    rig.fs.release(handle)
  })

  check("O_APPEND writes at the end, wherever the offset is", async (rig) => {
    const node = await rig.file("a", rig.root, "start")
    const handle = sure(rig.open(node, O_RDWR | O_APPEND))
    expect(await rig.write(handle, 0, "-end")).toBe(4)
    expect(await rig.readText(handle, 0, 100)).toBe("start-end")
    rig.fs.release(handle)
  })

  check("two who append do not write over each other", async (rig) => {
    const node = await rig.file("a")
    const handles = [sure(rig.open(node, O_WRONLY | O_APPEND)), sure(rig.open(node, O_WRONLY | O_APPEND))]
    for (let round = 0; round < 10; round++)
      for (const handle of handles) sure(await rig.write(handle, 0, "ab"))
    expect(await rig.content(node)).toBe("ab".repeat(20))
    for (const handle of handles) rig.fs.release(handle)
  })
}

function holeCases(check: Check): void {
  check("offsets beyond 4 GiB are whole", async (rig) => {
    const { node, handle } = rig.create("a")
    const offsets = [4 * GIB - 3, 4 * GIB + 5, 5 * GIB, 100 * GIB + 1]
    for (const [index, offset] of offsets.entries())
      expect(await rig.write(handle, offset, `<${index}>`)).toBe(3)
    for (const [index, offset] of offsets.entries())
      expect(await rig.readText(handle, offset, 3)).toBe(`<${index}>`)
    expect(await rig.readText(handle, 0, 4)).toBe("\0\0\0\0")
    expect(rig.stat(node).size).toBe(100 * GIB + 4)
    expect(rig.change(node, { size: 4 * GIB + 6 })).toBe(0)
    expect(await rig.readText(handle, 4 * GIB + 5, 10)).toBe("<")
    rig.fs.release(handle)
  })

  check("a sparse file has the blocks it needs, and no more", async (rig) => {
    const { node, handle } = rig.create("a")
    sure(rig.change(node, { size: GIB }))
    sure(await rig.write(handle, GIB / 2, pattern(BLOCK)))
    expect(await rig.sync(handle)).toBe(0)
    expect(rig.stat(node).size).toBe(GIB)
    expect(rig.stat(node).blocks * 512).toBeLessThan(GIB / 4)
    rig.fs.release(handle)
  })

  check("data and holes are found by seek, and ENXIO behind the end", async (rig) => {
    const { node, handle } = rig.create("a")
    sure(await rig.write(handle, 2 * BLOCK, pattern(BLOCK)))
    sure(rig.change(node, { size: 6 * BLOCK }))
    expect(rig.seek(handle, 0, SEEK_HOLE)).toBe(0)
    expect(rig.seek(handle, 0, SEEK_DATA)).toBe(2 * BLOCK)
    expect(rig.seek(handle, 2 * BLOCK + 5, SEEK_DATA)).toBe(2 * BLOCK + 5)
    expect(rig.seek(handle, 2 * BLOCK + 5, SEEK_HOLE)).toBe(3 * BLOCK)
    expect(rig.seek(handle, 3 * BLOCK, SEEK_DATA)).toBe("ENXIO")
    expect(rig.seek(handle, 3 * BLOCK + 7, SEEK_HOLE)).toBe(3 * BLOCK + 7)
    expect(rig.seek(handle, 6 * BLOCK, SEEK_HOLE)).toBe("ENXIO")
    expect(rig.seek(handle, 7 * BLOCK, SEEK_DATA)).toBe("ENXIO")
    expect(rig.seek(handle, 0, 17)).toBe("EINVAL")
    rig.fs.release(handle)
  })

  check("behind the last byte of a file without holes is one", async (rig) => {
    const { handle } = rig.create("a")
    sure(await rig.write(handle, 0, "abc"))
    expect(rig.seek(handle, 0, SEEK_HOLE)).toBe(3)
    expect(rig.seek(handle, 1, SEEK_DATA)).toBe(1)
    rig.fs.release(handle)
  })
}

function allocationCases(check: Check): void {
  check("allocate grows a file with zeros, and KEEP_SIZE does not", async (rig) => {
    const { node, handle } = rig.create("a")
    sure(await rig.write(handle, 0, "abc"))
    expect(await rig.allocate(handle, 0, 0, 10_000)).toBe(0)
    expect(rig.stat(node).size).toBe(10_000)
    expect(await rig.readText(handle, 0, 5)).toBe("abc\0\0")
    expect(await rig.allocate(handle, KEEP_SIZE, 0, 20_000)).toBe(0)
    expect(rig.stat(node).size).toBe(10_000)
    rig.fs.release(handle)
  })

  check("a hole is punched where there was data, and its blocks are given back", async (rig) => {
    const { node, handle } = rig.create("a")
    sure(await rig.write(handle, 0, pattern(4 * BLOCK)))
    const before = rig.stat(node).blocks
    expect(await rig.allocate(handle, PUNCH_HOLE | KEEP_SIZE, BLOCK, 2 * BLOCK)).toBe(0)
    expect(rig.seek(handle, 0, SEEK_HOLE)).toBe(BLOCK)
    expect(rig.seek(handle, BLOCK, SEEK_DATA)).toBe(3 * BLOCK)
    const content = pattern(4 * BLOCK)
    content.fill(0, BLOCK, 3 * BLOCK)
    expect(await rig.read(handle, 0, 4 * BLOCK)).toEqual(content)
    expect(rig.stat(node).size).toBe(4 * BLOCK)
    expect(rig.stat(node).blocks).toBeLessThan(before)
    rig.fs.release(handle)
  })

  check("a hole need not lie on blocks", async (rig) => {
    const { handle } = rig.create("a")
    sure(await rig.write(handle, 0, pattern(20_000)))
    expect(await rig.allocate(handle, PUNCH_HOLE | KEEP_SIZE, 100, 12_345)).toBe(0)
    const content = pattern(20_000)
    content.fill(0, 100, 12_445)
    expect(await rig.read(handle, 0, 20_000)).toEqual(content)
    rig.fs.release(handle)
  })

  check("a range is zeroed, with or without growing the file", async (rig) => {
    const { node, handle } = rig.create("a")
    sure(await rig.write(handle, 0, pattern(10_000)))
    expect(await rig.allocate(handle, ZERO_RANGE | KEEP_SIZE, 5000, 10_000)).toBe(0)
    expect(rig.stat(node).size).toBe(10_000)
    const content = pattern(10_000)
    content.fill(0, 5000)
    expect(await rig.read(handle, 0, 10_000)).toEqual(content)
    expect(await rig.allocate(handle, ZERO_RANGE, 9000, 3000)).toBe(0)
    expect(rig.stat(node).size).toBe(12_000)
    rig.fs.release(handle)
  })

  check("allocate refuses what makes no sense: EINVAL, EBADF, EOPNOTSUPP", async (rig) => {
    const { node, handle } = rig.create("a")
    const reader = sure(rig.open(node, O_RDONLY))
    expect(await rig.allocate(handle, 0, 0, 0)).toBe("EINVAL")
    expect(await rig.allocate(handle, 0, -1, 10)).toBe("EINVAL")
    expect(await rig.allocate(handle, PUNCH_HOLE, 0, 10)).toBe("EOPNOTSUPP")
    expect(await rig.allocate(handle, 1 << 20, 0, 10)).toBe("EOPNOTSUPP")
    expect(await rig.allocate(reader, 0, 0, 10)).toBe("EBADF")
    for (const open of [handle, reader]) rig.fs.release(open)
  })
}

/** Copies until all is copied: a kernel may stop anywhere. */
async function copyAll(
  rig: Rig,
  from: readonly [number, number],
  to: readonly [number, number],
  length: number,
): Promise<number> {
  let done = 0
  while (done < length) {
    const part = sure(await rig.copy([from[0], from[1] + done], [to[0], to[1] + done], length - done))
    if (part === 0) break
    done += part
  }
  return done
}

function copyCases(check: Check): void {
  check("a range is copied from file to file, and ends at the end of the source", async (rig) => {
    const from = rig.create("from")
    const to = rig.create("to")
    sure(await rig.write(from.handle, 0, pattern(100_000)))
    sure(await rig.write(to.handle, 0, "begin"))
    expect(await copyAll(rig, [from.handle, 1000], [to.handle, 5], 50_000)).toBe(50_000)
    expect(await rig.read(to.handle, 5, 50_000)).toEqual(pattern(100_000).subarray(1000, 51_000))
    expect(await rig.readText(to.handle, 0, 5)).toBe("begin")
    expect(rig.stat(to.node).size).toBe(50_005)
    expect(await copyAll(rig, [from.handle, 99_990], [to.handle, 0], 100)).toBe(10)
    expect(await rig.copy([from.handle, 200_000], [to.handle, 0], 100)).toBe(0)
    for (const { handle } of [from, to]) rig.fs.release(handle)
  })

  check("a range is copied within a file where the two do not overlap, else EINVAL", async (rig) => {
    const { handle } = rig.create("a")
    sure(await rig.write(handle, 0, "0123456789"))
    expect(await copyAll(rig, [handle, 0], [handle, 5], 5)).toBe(5)
    expect(await rig.readText(handle, 0, 100)).toBe("0123401234")
    expect(await rig.copy([handle, 0], [handle, 2], 5)).toBe("EINVAL")
    rig.fs.release(handle)
  })

  check("copy needs a reader and a writer: EBADF", async (rig) => {
    const node = await rig.file("a", rig.root, "x")
    const reader = sure(rig.open(node, O_RDONLY))
    const writer = sure(rig.open(await rig.file("b"), O_WRONLY))
    expect(await rig.copy([writer, 0], [writer, 10], 1)).toBe("EBADF")
    expect(await rig.copy([reader, 0], [reader, 10], 1)).toBe("EBADF")
    expect(await rig.copy([reader, 0], [writer, 0], 1)).toBe(1)
    expect(bytes("x")).toEqual(await rig.read(sure(rig.open(rig.walk("b"), O_RDONLY)), 0, 10))
    for (const handle of [reader, writer]) rig.fs.release(handle)
  })
}
