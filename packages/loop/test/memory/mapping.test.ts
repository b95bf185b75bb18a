import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Mapping, mapAnonymous, mapShared, Scratch, WINDOW_OVERLAP, WINDOW_STRIDE } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { detach } from "../../src/memory/detach.ts"

const PAGE = 4096

function memfd(length: number, seals = 0): number {
  const fd = sys.check(sys.memfdCreate("test"), "memfd_create")
  sys.check(sys.ftruncate(fd, length), "ftruncate")
  if (seals !== 0) sys.check(sys.addSeals(fd, seals), "fcntl")
  return fd
}

describe("mapShared()", () => {
  it("shows two mappings the same bytes, after the descriptor is closed", () => {
    const fd = memfd(4 * PAGE)
    using one = mapShared(fd, 4 * PAGE)
    using two = mapShared(fd, 2 * PAGE, { offset: 2 * PAGE })
    sys.close(fd)
    const view = new Uint16Array(one.view(2 * PAGE, 64))
    Atomics.store(view, 1, 0xbeef)
    expect(two.windows[0]?.u16[1]).toBe(0xbeef)
    expect(two.windows[0]?.bytes[2]).toBe(0xef)
  })

  it("seals what is open for seals, so that the owner cannot shrink it", () => {
    const fd = memfd(PAGE)
    using mapping = mapShared(fd, PAGE)
    expect(mapping.length).toBe(PAGE)
    expect(sys.getSeals(fd)).toBe(sys.F_SEAL_SHRINK)
    expect(sys.ftruncate(fd, 0)).toBe(-sys.EPERM)
    sys.close(fd)
  })

  it("refuses what can shrink, unless told that its owner is trusted", () => {
    const fd = memfd(PAGE, sys.F_SEAL_SEAL)
    expect(() => mapShared(fd, PAGE)).toThrow(/EINVAL, the memory is not sealed against shrinking/)
    mapShared(fd, PAGE, { shrinkable: "accept" })[Symbol.dispose]()
    sys.close(fd)
    const directory = mkdtempSync(join(tmpdir(), "skep-loop-"))
    const file = openSync(join(directory, "ram"), "w+")
    ftruncateSync(file, PAGE)
    expect(() => mapShared(file, PAGE)).toThrow(/not sealed/)
    using mapping = mapShared(file, PAGE, { shrinkable: "accept" })
    expect(mapping.windows[0]?.bytes[PAGE - 1]).toBe(0)
    closeSync(file)
    rmSync(directory, { recursive: true })
  })

  it("refuses what is not all inside the file, and what is no file", () => {
    const fd = memfd(PAGE)
    for (const [length, offset] of [
      [2 * PAGE, 0],
      [PAGE, PAGE],
      [PAGE, 2 ** 52],
      [0, 0],
      [-1, 0],
    ] as const)
      expect(() => mapShared(fd, length, { offset })).toThrow(/EOVERFLOW/)
    sys.close(fd)
    const event = sys.eventfd()
    expect(() => mapShared(event, PAGE)).toThrow(/not sealed/)
    expect(() => mapShared(event, PAGE, { shrinkable: "accept" })).toThrow("statx: EINVAL")
    sys.close(event)
  })
})

describe("Mapping", () => {
  it("has overlapping windows over more than 4 GiB", () => {
    const length = 5 * WINDOW_STRIDE + PAGE
    const fd = memfd(length)
    using mapping = mapShared(fd, length)
    sys.close(fd)
    const { windows } = mapping
    expect(windows.map(({ bytes }) => bytes.length)).toEqual([
      ...Array.from({ length: 4 }, () => WINDOW_STRIDE + WINDOW_OVERLAP),
      WINDOW_STRIDE + PAGE,
      PAGE,
    ])
    const [, , , first, second] = windows
    if (first === undefined || second === undefined) throw new Error("no windows")
    second.bytes[5] = 77
    expect(first.bytes[WINDOW_STRIDE + 5]).toBe(77)
    expect(new Uint8Array(mapping.view(4 * WINDOW_STRIDE, 8))[5]).toBe(77)
    // The last byte of all.
    const last = windows.at(-1)
    if (last === undefined) throw new Error("no window")
    last.bytes[PAGE - 1] = 1
    expect(last.u32[PAGE / 4 - 1]).toBe(0x01000000)
  })

  it("empties every view when it is disposed of, and kernel calls with its address fail", () => {
    const mapping = mapAnonymous(PAGE)
    const bytes = new Uint8Array(mapping.view(0, PAGE))
    const words = mapping.windows[0]?.u32
    const { address } = mapping
    const event = sys.eventfd(1)
    expect(sys.read(event, address, 8)).toBe(8)
    expect(words?.[0]).toBe(1)
    mapping[Symbol.dispose]()
    mapping[Symbol.dispose]()
    expect(bytes.length).toBe(0)
    expect(bytes[0]).toBeUndefined()
    bytes[0] = 1
    expect(words?.length).toBe(0)
    expect(() => Atomics.load(bytes, 0)).toThrow(TypeError)
    expect(mapping).toMatchObject({ address: 0, disposed: true, windows: [] })
    expect(() => mapping.view(0, 1)).toThrow(/disposed/)
    sys.signal(event)
    expect(sys.read(event, mapping.address, 8)).toBe(-sys.EFAULT)
    sys.close(event)
  })

  it("leaves zeros under views that an engine cannot empty, and lets go of the file", () => {
    const fd = memfd(PAGE)
    using other = mapShared(fd, PAGE)
    const bytes = new Uint8Array(other.view(0, PAGE))
    const address = sys.check(sys.mmap(PAGE, sys.PROT_READ | sys.PROT_WRITE, sys.MAP_SHARED, fd, 0), "mmap")
    sys.close(fd)
    const mapping = new Mapping(address, PAGE, () => false)
    const left = new Uint8Array(mapping.view(0, PAGE))
    bytes[0] = 9
    expect(left[0]).toBe(9)
    mapping.release(left.buffer)
    mapping[Symbol.dispose]()
    expect(left[0]).toBe(0)
    left[0] = 5
    expect([left[0], bytes[0], mapping.address]).toEqual([5, 9, 0])
    sys.check(sys.munmap(address, PAGE), "munmap")
  })

  it("releases one view early", () => {
    using mapping = mapAnonymous(PAGE)
    const one = mapping.view(0, 16)
    const two = mapping.view(0, 16)
    mapping.release(one)
    mapping.release(one)
    expect([one.byteLength, two.byteLength]).toEqual([0, 16])
    mapping.release(new ArrayBuffer(8))
  })

  it("refuses views outside", () => {
    using mapping = mapAnonymous(PAGE)
    for (const [offset, length] of [
      [-1, 1],
      [0, PAGE + 1],
      [PAGE, 1],
      [0, 0],
      [1, PAGE],
      [Number.NaN, 1],
    ] as const)
      expect(() => mapping.view(offset, length)).toThrow(RangeError)
  })
})

describe("detach()", () => {
  it("empties a buffer of our own as well, and an empty one", () => {
    const buffer = new ArrayBuffer(8)
    expect(detach(buffer)).toBe(true)
    expect(buffer.byteLength).toBe(0)
    expect(detach(buffer)).toBe(true)
  })
})

describe("Scratch", () => {
  it("gives regions that do not overlap, aligned, zeroed, of one name each", () => {
    using scratch = new Scratch(PAGE)
    const one = scratch.region("one", 10)
    const two = scratch.region("two", 20, 64)
    expect(one.address % 16).toBe(0)
    expect(two.address % 64).toBe(0)
    expect(two.address).toBeGreaterThanOrEqual(one.address + 10)
    expect([one.bytes.length, one.u16.length, one.u32.length]).toEqual([10, 5, 2])
    one.bytes.fill(0xff)
    expect(two.bytes.every((byte) => byte === 0)).toBe(true)
    expect(() => scratch.region("one", 1)).toThrow(/twice/)
    expect(() => scratch.region("three", PAGE)).toThrow(/"three": \d+ of 4096 are free/)
    expect(() => scratch.region("four", 0)).toThrow(RangeError)
    scratch.region("five", scratch.free - 16)
  })

  it("empties the views of its regions", () => {
    const scratch = new Scratch(100)
    const { bytes, u32 } = scratch.region("one", 100)
    scratch[Symbol.dispose]()
    expect([bytes.length, u32.length]).toEqual([0, 0])
  })
})
