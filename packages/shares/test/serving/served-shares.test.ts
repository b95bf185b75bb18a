import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs"
import type { ShareRule } from "@skep/contract"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { type FileSystem, memoryFileSystem, newAttributes } from "@skep/vfs"
import { describe, expect, it } from "vitest"
import { directoryAt } from "../../src/rules/check.ts"
import { type ServedNotice, ServedShares } from "../../src/serving/served-shares.ts"
import { bytes, list, makeFile, root, walk } from "../tree/tree-rig.ts"

const ESTALE = -116

function rule(path: string, more: Partial<ShareRule> = {}): ShareRule {
  return { path, target: path, readOnly: false, cache: "consistent", ownership: "virtual", ...more }
}

interface Rig {
  readonly served: ServedShares
  readonly notices: ServedNotice[]
  /** Journals of the file systems that were opened, in order. */
  readonly journals: string[]
}

function serve(directory: TemporaryDirectory, rules?: readonly ShareRule[], refuse = ""): Rig {
  const notices: ServedNotice[] = []
  const journals: string[] = []
  mkdirSync(directory.at("state"), { recursive: true })
  const open = ({ rule: { path } }: { readonly rule: ShareRule }, journal: string): FileSystem => {
    if (path === refuse) throw new Error("no")
    journals.push(journal)
    writeFileSync(journal, "")
    return memoryFileSystem()
  }
  const options = { stateDirectory: directory.at("state"), open, now: () => 0 }
  return {
    served: new ServedShares({ ...options, onNotice: (notice) => void notices.push(notice) }, rules),
    notices,
    journals,
  }
}

function put({ served }: Rig, path: string, more: Partial<ShareRule> = {}): number {
  const directory = directoryAt(path)
  if (directory === undefined) throw new Error(`there is no ${path}`)
  return served.put(rule(path, more), directory).number
}

describe("ServedShares", () => {
  it("serves what is put, until it is removed", async () => {
    await using directory = await temporaryDirectory()
    const [a, b] = [directory.at("a"), directory.at("b")]
    for (const path of [a, b]) mkdirSync(path)
    const rig = serve(directory)
    expect(put(rig, a)).toBe(1)
    expect(put(rig, b)).toBe(2)
    expect(list(rig.served.tree, rig.served.tree.root)).toEqual(["1", "2"])
    expect(rig.served.remove(a)).toBe(true)
    expect(rig.served.remove(a)).toBe(false)
    expect(list(rig.served.tree, rig.served.tree.root)).toEqual(["2"])
    expect(rig.journals.map((path) => existsSync(path))).toEqual([false, true])
    expect(put(rig, a)).toBe(3)
  })

  it("gives a successor the same numbers, files and rules", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("a")
    mkdirSync(path)
    const first = serve(directory)
    put(first, path, { cache: "delegated" })
    // No disposal: this is a SIGKILL.
    const second = serve(directory)
    expect(second.served.shares).toEqual(first.served.shares)
    expect(second.journals).toEqual(first.journals)
    expect(second.served.ruleOf(1)?.cache).toBe("delegated")
  })

  it("begins with exactly the rules that it is given", async () => {
    await using directory = await temporaryDirectory()
    const [a, b, c] = [directory.at("a"), directory.at("b"), directory.at("c")]
    for (const path of [a, b]) mkdirSync(path)
    const first = serve(directory)
    put(first, a)
    put(first, b)
    const second = serve(directory, [rule(b, { readOnly: true }), rule(c)])
    expect(second.served.shares).toEqual([
      { number: 2, rule: rule(b, { readOnly: true }) },
      { number: 3, rule: rule(c), gone: "the directory is gone" },
    ])
    mkdirSync(c)
    second.served.look()
    expect(second.served.shares[1]?.gone).toBeUndefined()
    expect(second.notices.map(({ type }) => type)).toEqual(["share-gone", "share-back"])
  })

  it("is stale while the directory is gone, and goes on where it is back", async () => {
    await using directory = await temporaryDirectory()
    const [path, away] = [directory.at("a"), directory.at("away")]
    mkdirSync(path)
    const rig = serve(directory)
    put(rig, path)
    const { tree } = rig.served
    const shareRoot = walk(tree, "1")
    const file = makeFile(tree, shareRoot, "file")
    renameSync(path, away)
    rig.served.look()
    rig.served.look()
    expect(walk(tree, "1")).toBe(ESTALE)
    const gone = { type: "share-gone", target: path, path, reason: "the directory is gone" }
    expect(rig.notices).toEqual([gone])
    renameSync(away, path)
    rig.served.look()
    expect(walk(tree, "1")).toBe(shareRoot)
    expect(rig.journals[1]).toBe(rig.journals[0])
    renameSync(path, away)
    mkdirSync(path)
    rig.served.look()
    expect(walk(tree, "1")).toBe(shareRoot)
    expect(rig.journals[2]).not.toBe(rig.journals[0])
    expect(tree.getAttributes(file, -1, root, newAttributes())).toBe(ESTALE)
    expect(rig.notices.map(({ type }) => type)).toEqual(["share-gone", "share-back"])
  })

  it("has nothing for a guest that knows nothing that the one before knew", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("a")
    mkdirSync(path)
    const rig = serve(directory)
    put(rig, path)
    const { tree } = rig.served
    const file = makeFile(tree, walk(tree, "1"), "file")
    rig.served.renew()
    expect(tree.getAttributes(file, -1, root, newAttributes())).toBe(ESTALE)
    expect(walk(tree, "1")).toBeGreaterThan(0)
    expect(rig.journals.map((journal) => existsSync(journal))).toEqual([false, true])
  })

  it("is as before where a share cannot be opened", async () => {
    await using directory = await temporaryDirectory()
    const [good, bad] = [directory.at("good"), directory.at("bad")]
    for (const path of [good, bad]) mkdirSync(path)
    const rig = serve(directory, undefined, bad)
    put(rig, good, { target: "/t" })
    expect(() => put(rig, bad)).toThrow("no")
    expect(() => put(rig, bad, { target: "/t" })).toThrow("no")
    expect(rig.served.shares).toEqual([{ number: 1, rule: rule(good, { target: "/t" }) }])
    expect(rig.served.tree.lookup(rig.served.tree.root, bytes("1"), root, newAttributes())).toBeGreaterThan(0)
    expect(serve(directory).served.shares).toEqual(rig.served.shares)
  })

  it("says so where its file was broken, and serves what it is told", async () => {
    await using directory = await temporaryDirectory()
    mkdirSync(directory.at("state"))
    writeFileSync(directory.at("state/shares.json"), "{}")
    mkdirSync(directory.at("a"))
    const rig = serve(directory, [rule(directory.at("a"))])
    expect(rig.notices.map(({ type }) => type)).toEqual(["state-lost"])
    expect(rig.served.shares).toHaveLength(1)
  })
})
