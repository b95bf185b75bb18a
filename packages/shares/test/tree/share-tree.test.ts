import { memoryFileSystem, newAttributes, newUsage } from "@skep/vfs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { PLACE, rootOfShare } from "../../src/tree/numbers.ts"
import { ShareTree } from "../../src/tree/share-tree.ts"
import { bytes, list, makeDirectory, makeFile, O_RDWR, root, walk } from "./tree-rig.ts"

const ENOENT = -2
const EXDEV = -18
const EROFS = -30
const ESTALE = -116

function newTree(...numbers: readonly number[]): ShareTree {
  const tree = new ShareTree({ now: () => 1_700_000_000_123 })
  for (const number of numbers)
    tree.put({ number, life: number, fileSystem: memoryFileSystem({ device: 40 + number }) })
  return tree
}

function shareRoot(tree: ShareTree, number: number): number {
  return tree.lookup(tree.root, bytes(String(number)), root, newAttributes())
}

describe("the root", () => {
  it("shows the shares by their numbers, in order, whatever the order they came in", () => {
    const tree = newTree(10, 2, 7)
    expect(list(tree, tree.root)).toEqual(["2", "7", "10"])
    expect(list(tree, tree.root, 1)).toEqual(["2", "7", "10"])
  })

  it("is a directory of nobody's, and finds itself and the shares only", () => {
    const tree = newTree(1, 2)
    const into = newAttributes()
    expect(tree.getAttributes(tree.root, -1, root, into)).toBe(0)
    expect(into).toMatchObject({ mode: 0o040755, links: 4, uid: 0, inoLow: 1, modifySeconds: 1_700_000_000 })
    expect(into.modifyNanoseconds).toBe(123_000_000)
    for (const name of [".", ".."]) expect(tree.lookup(tree.root, bytes(name), root, into)).toBe(tree.root)
    for (const name of ["3", "01", "1x", "x", "-1", "0", "...", "99999999"])
      expect(tree.lookup(tree.root, bytes(name), root, into)).toBe(ENOENT)
  })

  it("takes nothing", () => {
    const tree = newTree(1)
    const into = newAttributes()
    expect(makeFile(tree, tree.root, "file")).toBe(EROFS)
    expect(makeDirectory(tree, tree.root, "2")).toBe(EROFS)
    expect(tree.removeDirectory(tree.root, bytes("1"), root)).toBe(EROFS)
    expect(tree.setAttributes(tree.root, -1, { mode: 0 }, root, into)).toBe(EROFS)
    const one = { parent: tree.root, name: bytes("1") }
    expect(tree.rename(one, { parent: tree.root, name: bytes("2") }, 0, root)).toBe(EROFS)
    expect(tree.usage(tree.root, newUsage())).toBe(0)
  })
})

describe("shares", () => {
  it("are file systems of their own, and lead back to the root", () => {
    const tree = newTree(1, 2)
    const one = shareRoot(tree, 1)
    const two = shareRoot(tree, 2)
    expect([one, two]).toEqual([rootOfShare(1), rootOfShare(2)])
    const file = makeFile(tree, one, "file")
    expect(Math.floor(file / PLACE)).toBe(1)
    expect(list(tree, one)).toEqual(["file"])
    expect(list(tree, two)).toEqual([])
    expect(tree.lookup(one, bytes(".."), root, newAttributes())).toBe(tree.root)
    const inner = makeDirectory(tree, one, "inner")
    expect(tree.lookup(inner, bytes(".."), root, newAttributes())).toBe(one)
  })

  it("do not reach into one another", () => {
    const tree = newTree(1, 2)
    const [one, two] = [shareRoot(tree, 1), shareRoot(tree, 2)]
    const file = makeFile(tree, one, "file")
    expect(tree.link(file, two, bytes("link"), root, newAttributes())).toBe(EXDEV)
    const from = { parent: one, name: bytes("file") }
    expect(tree.rename(from, { parent: two, name: bytes("file") }, 0, root)).toBe(EXDEV)
    const left = tree.open(file, O_RDWR, root)
    const right = tree.open(makeFile(tree, two, "other"), O_RDWR, root)
    let result = 0
    tree.copy(left, 0, right, 0, 1, (copied) => {
      result = copied
    })
    expect(result).toBe(EXDEV)
  })

  it("have no file with the number of another's", () => {
    const tree = newTree(1, 2)
    const into = newAttributes()
    const numbers = [1, 2].map((number) => {
      makeFile(tree, shareRoot(tree, number), "file")
      walk(tree, `${number}/file`)
      expect(tree.getAttributes(walk(tree, `${number}/file`), -1, root, into)).toBe(0)
      return `${into.inoHigh}:${into.inoLow}`
    })
    expect(new Set(numbers).size).toBe(2)
  })

  it("are found again by their durable handles, and never in another share", () => {
    const tree = newTree(1, 2)
    const file = makeFile(tree, shareRoot(tree, 2), "file")
    const into = new Uint8Array(64)
    const length = tree.durable(file, into)
    expect(tree.find(into.subarray(0, length))).toBe(file)
    expect(tree.find(into.subarray(0, tree.durable(tree.root, into)))).toBe(tree.root)
    expect(tree.find(Uint8Array.of(0, 0))).toBeLessThan(0)
    tree.remove(2)
    tree.durable(shareRoot(tree, 1), into)
    expect(tree.find(Uint8Array.of(0, 0, 0, 2, 1, 2, 3))).toBe(ESTALE)
  })
})

describe("a share that goes", () => {
  it("leaves stale nodes and handles, and the others as they were", () => {
    const tree = newTree(1, 2)
    const one = shareRoot(tree, 1)
    const file = makeFile(tree, one, "file")
    const handle = tree.open(file, O_RDWR, root)
    expect(tree.remove(1)).toBe(true)
    expect(tree.remove(1)).toBe(false)
    const into = newAttributes()
    for (const node of [one, file]) expect(tree.getAttributes(node, -1, root, into)).toBe(ESTALE)
    expect(tree.seek(handle, 0, 3)).toBe(ESTALE)
    let result = 0
    tree.read(handle, 0, { address: 0, count: 0, bytes: 0 }, (read) => {
      result = read
    })
    expect(result).toBe(ESTALE)
    tree.forget(file, 1)
    tree.release(handle)
    expect(tree.lookup(tree.root, bytes("1"), root, into)).toBe(ENOENT)
    expect(list(tree, tree.root)).toEqual(["2"])
  })

  it("is stale while its directory is gone, and another life of it has the same root and no old node", () => {
    const tree = newTree(1)
    const one = shareRoot(tree, 1)
    const file = makeFile(tree, one, "file")
    tree.put({ number: 1, life: 1, fileSystem: undefined })
    expect(list(tree, tree.root)).toEqual(["1"])
    expect(shareRoot(tree, 1)).toBe(ESTALE)
    expect(tree.getAttributes(one, -1, root, newAttributes())).toBe(ESTALE)
    const next = memoryFileSystem()
    for (let index = 0; index < 50; index++) makeFile(next, next.root, `file${index}`)
    tree.put({ number: 1, life: 9, fileSystem: next })
    expect(shareRoot(tree, 1)).toBe(one)
    expect(tree.getAttributes(one, -1, root, newAttributes())).toBe(0)
    expect(tree.getAttributes(file, -1, root, newAttributes())).toBe(ESTALE)
    expect(walk(tree, "1/file7")).toBeGreaterThan(9 * PLACE)
  })
})

describe("any order of coming and going", () => {
  it("never gives a number of one life to another", () => {
    const change = fc.record({ number: fc.integer({ min: 1, max: 5 }), goes: fc.boolean() })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const tree = new ShareTree({ now: () => 0 })
        const given = new Map<number, number>()
        const alive = new Map<number, number>()
        let count = 0
        for (const { number, goes } of changes) {
          if (goes) {
            tree.remove(number)
            alive.delete(number)
            continue
          }
          count++
          tree.put({ number, life: count, fileSystem: memoryFileSystem() })
          alive.set(number, count)
          const node = makeFile(tree, shareRoot(tree, number), "file")
          expect(given.has(node)).toBe(false)
          given.set(node, count)
        }
        for (const [node, life] of given) {
          const isAlive = [...alive.values()].includes(life)
          expect(tree.getAttributes(node, -1, root, newAttributes())).toBe(isAlive ? 0 : ESTALE)
        }
        expect(list(tree, tree.root)).toEqual([...alive.keys()].toSorted((a, b) => a - b).map(String))
      }),
    )
  })
})
