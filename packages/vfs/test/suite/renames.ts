/**
 * Cases about rename: renameat2(2) with and without its flags.
 *
 * @module
 */
import { expect } from "vitest"
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from "../../src/index.ts"
import type { Check } from "./check.ts"
import { type Rig, S_IFIFO, sure } from "./rig.ts"

export function renameCases(check: Check): void {
  plainCases(check)
  directoryCases(check)
  flagCases(check)
}

function plainCases(check: Check): void {
  check("rename moves a file of any kind within and between directories", async (rig) => {
    const directory = sure(rig.mkdir("d"))
    const nodes = {
      file: await rig.file("file"),
      link: sure(rig.symlink("link", "x")),
      fifo: sure(rig.mknod("fifo", S_IFIFO | 0o600)),
      tree: sure(rig.mkdir("tree")),
    }
    for (const [name, node] of Object.entries(nodes)) {
      expect(rig.rename(name, `${name}2`)).toBe(0)
      expect(rig.lookup(name)).toBe("ENOENT")
      expect(rig.lookup(`${name}2`)).toBe(node)
      expect(rig.rename(`${name}2`, name, 0, [rig.root, directory])).toBe(0)
      expect(rig.lookup(name, directory)).toBe(node)
    }
    expect(rig.names()).toEqual(["d"])
    expect(rig.names(directory)).toEqual(["fifo", "file", "link", "tree"])
  })

  check("rename replaces a file, whose other names stay", async (rig) => {
    const old = await rig.file("old", rig.root, "old")
    sure(rig.link(old, "kept"))
    const fresh = await rig.file("new", rig.root, "new")
    expect(rig.rename("new", "old")).toBe(0)
    expect(rig.lookup("old")).toBe(fresh)
    expect(rig.names()).toEqual(["kept", "old"])
    expect(rig.stat(old).links).toBe(1)
    expect(await rig.content(rig.walk("old"))).toBe("new")
  })

  check("rename between two names of one file changes nothing", async (rig) => {
    const node = await rig.file("a")
    sure(rig.link(node, "b"))
    expect(rig.rename("a", "b")).toBe(0)
    expect(rig.rename("a", "a")).toBe(0)
    expect(rig.names()).toEqual(["a", "b"])
    expect(rig.stat(node).links).toBe(2)
  })

  check("rename of what is not there is ENOENT, whatever the target", async (rig) => {
    await rig.file("b")
    for (const flags of [0, RENAME_NOREPLACE, RENAME_EXCHANGE])
      expect(rig.rename("a", "b", flags)).toBe("ENOENT")
    expect(rig.rename("a", "a")).toBe("ENOENT")
  })

  check("rename into what is no directory is ENOTDIR", async (rig) => {
    const node = await rig.file("a")
    expect(rig.rename("a", "b", 0, [rig.root, node])).toBe("ENOTDIR")
    expect(rig.rename("a", "b", 0, [node, rig.root])).toBe("ENOTDIR")
  })
}

function directoryCases(check: Check): void {
  check("a directory replaces an empty directory only: ENOTEMPTY or EEXIST, ENOTDIR, EISDIR", async (rig) => {
    const one = sure(rig.mkdir("one"))
    const two = sure(rig.mkdir("two"))
    await rig.file("file")
    await rig.file("inside", two)
    expect(["ENOTEMPTY", "EEXIST"]).toContain(rig.rename("one", "two"))
    expect(rig.rename("one", "file")).toBe("ENOTDIR")
    expect(rig.rename("file", "one")).toBe("EISDIR")
    const { links } = rig.stat(rig.root)
    expect(rig.rename("two", "one")).toBe(0)
    // One directory fewer, where they are counted.
    expect(rig.stat(rig.root).links).toBe(links === 1 ? 1 : links - 1)
    expect(rig.lookup("one")).toBe(two)
    expect(rig.lookup("two")).toBe("ENOENT")
    if (rig.tryStat(one) === 0) expect(rig.lookup("a", one)).toBe("ENOENT")
  })

  check("a directory is not moved into itself: EINVAL", (rig) => {
    const one = sure(rig.mkdir("one"))
    const two = sure(rig.mkdir("two", one))
    expect(rig.rename("one", "three", 0, [rig.root, one])).toBe("EINVAL")
    expect(rig.rename("one", "three", 0, [rig.root, two])).toBe("EINVAL")
    expect(rig.names(two)).toEqual([])
  })

  check("a directory does not replace one that it is in: ENOTEMPTY or EEXIST", (rig) => {
    const one = sure(rig.mkdir("one"))
    const two = sure(rig.mkdir("two", one))
    sure(rig.mkdir("three", two))
    expect(["ENOTEMPTY", "EEXIST"]).toContain(rig.rename("three", "one", 0, [two, rig.root]))
    expect(rig.names(two)).toEqual(["three"])
  })

  check("a tree keeps what is in it when it is moved, and its nodes", async (rig) => {
    const one = sure(rig.mkdir("one"))
    const deep = sure(rig.mkdir("deep", one))
    const file = await rig.file("file", deep, "x")
    const target = sure(rig.mkdir("target"))
    expect(rig.rename("one", "moved", 0, [rig.root, target])).toBe(0)
    expect(rig.walk("target/moved/deep/file")).toBe(file)
    expect(await rig.content(file)).toBe("x")
    expect(rig.lookup("..", one)).toBe(target)
    expect(sure(rig.mkdir("fresh", deep))).toBe(rig.walk("target/moved/deep/fresh"))
  })
}

function flagCases(check: Check): void {
  check("NOREPLACE renames to what is free, and is EEXIST for what is not", async (rig) => {
    const node = await rig.file("a")
    await rig.file("b", rig.root, "kept")
    expect(rig.rename("a", "b", RENAME_NOREPLACE)).toBe("EEXIST")
    expect(rig.rename("a", "c", RENAME_NOREPLACE)).toBe(0)
    expect(rig.lookup("c")).toBe(node)
    sure(rig.link(node, "d"))
    expect(rig.rename("c", "d", RENAME_NOREPLACE)).toBe("EEXIST")
    expect(await rig.content(rig.walk("b"))).toBe("kept")
  })

  check("EXCHANGE swaps two names, of different kinds and in different directories too", async (rig) => {
    const directory = sure(rig.mkdir("d"))
    const inside = await rig.file("inside", directory, "inside")
    const tree = sure(rig.mkdir("tree"))
    await rig.file("leaf", tree)
    expect(rig.rename("tree", "inside", RENAME_EXCHANGE, [rig.root, directory])).toBe(0)
    expect(rig.lookup("tree")).toBe(inside)
    expect(rig.lookup("inside", directory)).toBe(tree)
    expect(rig.names(tree)).toEqual(["leaf"])
    expect(rig.lookup("..", tree)).toBe(directory)
    expect(linksOf(rig)).toEqual(linksExpected(rig))
  })

  check("EXCHANGE needs both: ENOENT; and neither in the other: EINVAL", (rig) => {
    const one = sure(rig.mkdir("one"))
    sure(rig.mkdir("two", one))
    expect(rig.rename("one", "three", RENAME_EXCHANGE)).toBe("ENOENT")
    expect(rig.rename("one", "two", RENAME_EXCHANGE, [rig.root, one])).toBe("EINVAL")
    expect(rig.rename("two", "one", RENAME_EXCHANGE, [one, rig.root])).toBe("EINVAL")
    expect(rig.names(one)).toEqual(["two"])
  })

  check("flags that are not known, and both at once, are EINVAL", async (rig) => {
    await rig.file("a")
    await rig.file("b")
    for (const flags of [RENAME_NOREPLACE | RENAME_EXCHANGE, 8, 1 << 20])
      expect(rig.rename("a", "b", flags)).toBe("EINVAL")
  })
}

/** Link counts of the root and of "d" after a directory went from one to the other. */
function linksOf(rig: Rig): number[] {
  return [rig.root, rig.walk("d")].map((node) => rig.stat(node).links)
}

/** Where directories count: two, and one for each directory in them. */
function linksExpected(rig: Rig): number[] {
  return rig.stat(rig.root).links === 1 ? [1, 1] : [3, 3]
}
