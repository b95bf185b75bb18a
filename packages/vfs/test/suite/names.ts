/**
 * Cases about making, finding and removing names.
 *
 * @module
 */
import { expect } from "vitest"
import type { Check } from "./check.ts"
import {
  type Answer,
  bytes,
  O_EXCL,
  O_RDWR,
  O_TRUNC,
  type Rig,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
  sure,
} from "./rig.ts"

export function nameCases(check: Check): void {
  spellingCases(check)
  dotCases(check)
  makingCases(check)
  removingCases(check)
  linkCases(check)
}

/** Every operation that makes or takes away a name. */
function changesOf(rig: Rig, name: string | Uint8Array): Record<string, Answer> {
  const node = sure(rig.lookup("there"))
  return {
    makeNode: rig.mknod(name, S_IFREG | 0o600),
    makeDirectory: rig.mkdir(name),
    makeSymlink: rig.symlink(name, "x"),
    link: rig.link(node, name),
    create: rig.create(name).answer,
    unlink: rig.unlink(name),
    removeDirectory: rig.rmdir(name),
    renameFrom: rig.rename(Buffer.from(name).toString("latin1"), "to"),
    renameTo: rig.rename("there", Buffer.from(name).toString("latin1")),
  }
}

function spellingCases(check: Check): void {
  check("names of 255 bytes are taken, of 256 refused with ENAMETOOLONG", async (rig) => {
    await rig.file("there")
    const longest = "x".repeat(255)
    const node = await rig.file(longest)
    expect(rig.lookup(longest)).toBe(node)
    expect(rig.names()).toEqual(["there", longest])
    expect(rig.lookup("x".repeat(256))).toBe("ENAMETOOLONG")
    expect(new Set(Object.values(changesOf(rig, "x".repeat(256))))).toEqual(new Set(["ENAMETOOLONG"]))
  })

  check("names with a slash or NUL, and the empty one, are refused with EINVAL", async (rig) => {
    await rig.file("there")
    for (const name of ["a/b", "/", "a\0b", "\0", ""]) {
      expect([name, new Set(Object.values(changesOf(rig, name)))]).toEqual([name, new Set(["EINVAL"])])
      expect(["EINVAL", "ENOENT"]).toContain(rig.lookup(name))
    }
    expect(rig.names()).toEqual(["there"])
  })

  check("names are bytes: not UTF-8, not normalised, and case matters", async (rig) => {
    const names = ["\xff\xfe\x80", "\xc3\xa9", "e\xcc\x81", "a", "A", "\x01\x7f", " ", "..."]
    const nodes: number[] = []
    for (const name of names) nodes.push(await rig.file(bytes(name)))
    expect(new Set(nodes).size).toBe(names.length)
    expect(rig.names()).toEqual(names.toSorted())
    for (const [index, name] of names.entries()) expect(rig.lookup(bytes(name))).toBe(nodes[index])
  })

  check("a name is a view: changing it after the call changes nothing", (rig) => {
    const name = bytes("before")
    sure(rig.mkdir(name))
    name.set(bytes("after!"))
    expect(rig.names()).toEqual(["before"])
  })
}

function dotCases(check: Check): void {
  check(". and .. are looked up, and at the root .. is the root", (rig) => {
    const one = sure(rig.mkdir("one"))
    const two = sure(rig.mkdir("two", one))
    expect(rig.lookup(".", two)).toBe(two)
    expect(rig.lookup("..", two)).toBe(one)
    expect(rig.lookup("..", one)).toBe(rig.root)
    expect(rig.lookup("..")).toBe(rig.root)
    expect(rig.lookup(".")).toBe(rig.root)
  })

  check(".. follows a directory that is moved", (rig) => {
    const one = sure(rig.mkdir("one"))
    const moved = sure(rig.mkdir("moved"))
    sure(rig.rename("moved", "moved", 0, [rig.root, one]))
    expect(rig.lookup("..", moved)).toBe(one)
  })

  check(". and .. are refused with EINVAL by everything else", async (rig) => {
    await rig.file("there")
    for (const name of [".", ".."])
      expect([name, new Set(Object.values(changesOf(rig, name)))]).toEqual([name, new Set(["EINVAL"])])
  })
}

function makingCases(check: Check): void {
  check("what is not there is ENOENT; in what is no directory ENOTDIR", async (rig) => {
    const file = await rig.file("a")
    expect(rig.lookup("b")).toBe("ENOENT")
    expect(rig.lookup("b", file)).toBe("ENOTDIR")
    expect(rig.lookup(".", file)).toBe("ENOTDIR")
    expect(rig.mkdir("b", file)).toBe("ENOTDIR")
    expect(rig.create("b", file).answer).toBe("ENOTDIR")
    expect(rig.unlink("b", file)).toBe("ENOTDIR")
    expect(rig.link(file, "b", file)).toBe("ENOTDIR")
    expect(rig.openDirectory(file)).toBe("ENOTDIR")
  })

  check("what is there already is EEXIST, whatever its kind", async (rig) => {
    const file = await rig.file("file")
    sure(rig.mkdir("directory"))
    sure(rig.symlink("dangling", "nowhere"))
    sure(rig.mknod("fifo", S_IFIFO | 0o600))
    for (const name of ["file", "directory", "dangling", "fifo"])
      expect([
        rig.mkdir(name),
        rig.mknod(name, S_IFREG | 0o600),
        rig.symlink(name, "x"),
        rig.link(file, name),
        rig.create(name, rig.root, { flags: O_RDWR | O_EXCL }).answer,
      ]).toEqual(Array.from({ length: 5 }, () => "EEXIST"))
  })

  check("create opens what is there, empties it with O_TRUNC, and leaves its permissions", async (rig) => {
    const node = await rig.file("a", rig.root, "content")
    sure(rig.change(node, { mode: 0o640 }))
    const opened = rig.create("a", rig.root, { mode: 0o777 })
    expect(opened.answer).toBe(node)
    expect(await rig.readText(opened.handle, 0, 100)).toBe("content")
    expect(rig.stat(node).mode).toBe(S_IFREG | 0o640)
    const emptied = rig.create("a", rig.root, { flags: O_RDWR | O_TRUNC })
    expect(rig.stat(node).size).toBe(0)
    for (const { handle } of [opened, emptied]) rig.fs.release(handle)
  })

  check("create refuses a directory with EISDIR and a link with ELOOP", (rig) => {
    sure(rig.mkdir("d"))
    sure(rig.symlink("l", "nowhere"))
    expect(rig.create("d").answer).toBe("EISDIR")
    expect(rig.create("l").answer).toBe("ELOOP")
    expect(rig.lookup("nowhere")).toBe("ENOENT")
  })

  check("a file made without permission to write is written by the handle that made it", async (rig) => {
    const { node, handle } = rig.create("a", rig.root, { mode: 0o444 })
    expect(await rig.write(handle, 0, "x")).toBe(1)
    expect(rig.stat(node)).toMatchObject({ mode: S_IFREG | 0o444, size: 1 })
    rig.fs.release(handle)
  })

  check("makeNode makes files, FIFOs and sockets, and nothing that has its own call", (rig) => {
    expect(rig.stat(sure(rig.mknod("r", 0o600))).mode).toBe(S_IFREG | 0o600)
    expect(rig.stat(sure(rig.mknod("f", S_IFIFO | 0o622))).mode).toBe(S_IFIFO | 0o622)
    expect(rig.stat(sure(rig.mknod("s", S_IFSOCK | 0o755))).mode).toBe(S_IFSOCK | 0o755)
    expect(["EPERM", "EINVAL"]).toContain(rig.mknod("d", S_IFDIR | 0o755))
    expect(["EPERM", "EINVAL"]).toContain(rig.mknod("l", S_IFLNK | 0o777))
    expect(rig.names()).toEqual(["f", "r", "s"])
  })

  check("directories count their subdirectories as links, where they count them", (rig) => {
    const directory = sure(rig.mkdir("d"))
    const before = rig.stat(directory).links
    sure(rig.mkdir("one", directory))
    const one = rig.stat(directory).links
    sure(rig.rmdir("one", directory))
    // btrfs and overlayfs say 1 for every directory.
    expect(before === 1 ? [1, 1] : [one, rig.stat(directory).links]).toEqual(before === 1 ? [1, 1] : [3, 2])
  })
}

function removingCases(check: Check): void {
  check("unlink takes files, links, FIFOs and sockets away, and no directories: EISDIR", async (rig) => {
    await rig.file("a")
    sure(rig.symlink("l", "a"))
    sure(rig.mknod("f", S_IFIFO | 0o600))
    sure(rig.mknod("s", S_IFSOCK | 0o600))
    sure(rig.mkdir("d"))
    expect(["a", "l", "f", "s", "d"].map((name) => rig.unlink(name))).toEqual([0, 0, 0, 0, "EISDIR"])
    expect(rig.unlink("a")).toBe("ENOENT")
    expect(rig.names()).toEqual(["d"])
  })

  check("removeDirectory takes empty directories only: ENOTEMPTY, ENOTDIR, ENOENT", async (rig) => {
    const directory = sure(rig.mkdir("d"))
    await rig.file("a", directory)
    sure(rig.symlink("l", "d"))
    expect(rig.rmdir("d")).toBe("ENOTEMPTY")
    expect(rig.rmdir("a", directory)).toBe("ENOTDIR")
    expect(rig.rmdir("l")).toBe("ENOTDIR")
    expect(rig.rmdir("b")).toBe("ENOENT")
    sure(rig.unlink("a", directory))
    expect(rig.rmdir("d")).toBe(0)
    expect(rig.names()).toEqual(["l"])
  })

  check("in a directory that was removed nothing is made: ENOENT or ESTALE", async (rig) => {
    const file = await rig.file("file")
    const directory = sure(rig.mkdir("d"))
    const handle = sure(rig.openDirectory(directory))
    sure(rig.rmdir("d"))
    const answers = [
      rig.mkdir("a", directory),
      rig.mknod("a", S_IFREG | 0o600, directory),
      rig.symlink("a", "b", directory),
      rig.link(file, "a", directory),
      rig.create("a", directory).answer,
      rig.rename("file", "a", 0, [rig.root, directory]),
      rig.lookup("a", directory),
      rig.unlink("a", directory),
    ]
    for (const answer of answers) expect(["ENOENT", "ESTALE"]).toContain(answer)
    rig.fs.releaseDirectory(handle)
    expect(rig.names()).toEqual(["file"])
  })

  check("a file without a name and without a handle is gone, or shows no links", async (rig) => {
    const node = await rig.file("a")
    sure(rig.unlink("a"))
    if (rig.tryStat(node) === 0) expect(rig.stat(node).links).toBe(0)
    else expect(["ESTALE", "ENOENT"]).toContain(rig.tryStat(node))
  })
}

function linkCases(check: Check): void {
  check("a hard link shows the same bytes, and outlives the first name", async (rig) => {
    const node = await rig.file("a", rig.root, "x")
    const directory = sure(rig.mkdir("d"))
    expect(rig.link(node, "b", directory)).toBe(node)
    sure(rig.unlink("a"))
    expect(rig.stat(node).links).toBe(1)
    expect(await rig.content(rig.walk("d/b"))).toBe("x")
  })

  check("directories have no hard links: EPERM, and EEXIST where the name is taken", async (rig) => {
    const directory = sure(rig.mkdir("d"))
    await rig.file("taken")
    for (const node of [directory, rig.root]) {
      expect(rig.link(node, "e")).toBe("EPERM")
      expect([rig.link(node, "taken"), rig.link(node, "d")]).toEqual(["EEXIST", "EEXIST"])
    }
  })

  check("links, FIFOs and sockets have hard links too", (rig) => {
    for (const [name, node] of [
      ["l", sure(rig.symlink("l", "nowhere"))],
      ["f", sure(rig.mknod("f", S_IFIFO | 0o600))],
      ["s", sure(rig.mknod("s", S_IFSOCK | 0o600))],
    ] as const) {
      expect(rig.link(node, `${name}2`)).toBe(node)
      expect(rig.stat(node).links).toBe(2)
    }
  })

  check("a file that lost its last name gets no new one: ENOENT or ESTALE", (rig) => {
    const { node, handle } = rig.create("a")
    sure(rig.unlink("a"))
    expect(["ENOENT", "ESTALE"]).toContain(rig.link(node, "b"))
    rig.fs.release(handle)
  })
}
