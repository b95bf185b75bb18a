/**
 * Cases about locks on parts of files: fcntl(2), "Advisory record locking".
 *
 * @module
 */
import { expect } from "vitest"
import type { Check } from "./check.ts"
import { LAST, O_RDONLY, O_RDWR, O_WRONLY, type Rig, sure } from "./rig.ts"

interface Two {
  readonly one: number
  readonly other: number
}

/** A file that is open twice. */
function openTwice(rig: Rig): Two {
  const { node, handle } = rig.create("a")
  return { one: handle, other: sure(rig.open(node, O_RDWR)) }
}

export function lockCases(check: Check): void {
  conflictCases(check)
  rangeCases(check)
  lifetimeCases(check)
}

function conflictCases(check: Check): void {
  check("locks: a writer keeps others out, readers share", (rig) => {
    const { one, other } = openTwice(rig)
    expect(rig.lock(one, 1n, "write")).toBe(0)
    expect(rig.lock(other, 2n, "read")).toBe("EAGAIN")
    expect(rig.lock(other, 2n, "write")).toBe("EAGAIN")
    expect(rig.lock(one, 1n, "none")).toBe(0)
    expect(rig.lock(other, 2n, "read")).toBe(0)
    expect(rig.lock(one, 1n, "read")).toBe(0)
    expect(rig.lock(one, 1n, "write")).toBe("EAGAIN")
  })

  check("locks: two owners of one handle keep each other out", (rig) => {
    const { handle } = rig.create("a")
    expect(rig.lock(handle, 1n, "write")).toBe(0)
    expect(rig.lock(handle, 2n, "write")).toBe("EAGAIN")
    expect(rig.testLock(handle, 2n, "read")).toBe("write 0-end")
    expect(rig.lock(handle, 1n, "none")).toBe(0)
    expect(rig.lock(handle, 2n, "write")).toBe(0)
  })

  check("locks: one owner is never in its own way, by another handle neither", (rig) => {
    const { one, other } = openTwice(rig)
    expect(rig.lock(one, 1n, "write", [0, 99])).toBe(0)
    expect(rig.lock(one, 1n, "read", [50, 149])).toBe(0)
    expect(rig.testLock(other, 1n, "write")).toBe("none")
    expect(rig.lock(other, 1n, "write", [0, 99])).toBe(0)
  })

  check("locks: getLock says what is in the way, or none", (rig) => {
    const { one, other } = openTwice(rig)
    sure(rig.lock(one, 1n, "write", [100, 199]))
    expect(rig.testLock(other, 2n, "read", [0, 99])).toBe("none")
    expect(rig.testLock(other, 2n, "read", [0, 100])).toBe("write 100-199")
    expect(rig.testLock(other, 2n, "write", [199, LAST])).toBe("write 100-199")
    expect(rig.testLock(one, 1n, "write")).toBe("none")
  })

  check("locks: a read lock needs a reader, a write lock a writer: EBADF", async (rig) => {
    const node = await rig.file("a")
    const reader = sure(rig.open(node, O_RDONLY))
    const writer = sure(rig.open(node, O_WRONLY))
    expect(rig.lock(reader, 1n, "write")).toBe("EBADF")
    expect(rig.lock(writer, 1n, "read")).toBe("EBADF")
    expect(rig.lock(reader, 1n, "read")).toBe(0)
    expect(rig.lock(reader, 1n, "none")).toBe(0)
    expect(rig.lock(writer, 1n, "write")).toBe(0)
  })
}

function rangeCases(check: Check): void {
  check("locks: parts that do not meet do not disturb each other, at any offset", (rig) => {
    const { one, other } = openTwice(rig)
    const far = 5 * 2 ** 30
    expect(rig.lock(one, 1n, "write", [0, 9])).toBe(0)
    expect(rig.lock(other, 2n, "write", [10, 19])).toBe(0)
    expect(rig.lock(one, 1n, "write", [far, LAST])).toBe(0)
    expect(rig.lock(other, 2n, "write", [far - 1, far - 1])).toBe(0)
    expect(rig.lock(other, 2n, "write", [LAST, LAST])).toBe("EAGAIN")
    expect(rig.lock(one, 1n, "read", [0, 10])).toBe("EAGAIN")
  })

  check("locks: giving back the middle leaves both ends", (rig) => {
    const { one, other } = openTwice(rig)
    sure(rig.lock(one, 1n, "write", [0, 99]))
    sure(rig.lock(one, 1n, "none", [40, 59]))
    expect(rig.lock(other, 2n, "write", [40, 59])).toBe(0)
    expect(rig.testLock(other, 2n, "read", [0, 50])).toBe("write 0-39")
    expect(rig.testLock(other, 2n, "read", [50, 70])).toBe("write 60-99")
  })

  check("locks: a lock of another kind replaces what it covers", (rig) => {
    const { one, other } = openTwice(rig)
    sure(rig.lock(one, 1n, "write", [0, 99]))
    sure(rig.lock(one, 1n, "read", [0, 49]))
    expect(rig.lock(other, 2n, "read", [0, 49])).toBe(0)
    expect(rig.lock(other, 2n, "read", [50, 50])).toBe("EAGAIN")
    expect(rig.testLock(other, 2n, "read", [0, LAST])).toBe("write 50-99")
  })

  check("locks: neighbours of one kind are one lock", (rig) => {
    const { one, other } = openTwice(rig)
    sure(rig.lock(one, 1n, "write", [0, 9]))
    sure(rig.lock(one, 1n, "write", [20, 29]))
    sure(rig.lock(one, 1n, "write", [10, 19]))
    expect(rig.testLock(other, 2n, "read", [5, 5])).toBe("write 0-29")
  })

  check("locks: a range that ends before it begins is EINVAL", (rig) => {
    const { one } = openTwice(rig)
    expect(rig.lock(one, 1n, "read", [10, 9])).toBe("EINVAL")
    expect(rig.lock(one, 1n, "read", [-1, 9])).toBe("EINVAL")
  })
}

function lifetimeCases(check: Check): void {
  check("locks: releasing a handle gives back what was locked through it", (rig) => {
    const { one, other } = openTwice(rig)
    sure(rig.lock(one, 1n, "write"))
    expect(rig.lock(other, 2n, "write")).toBe("EAGAIN")
    rig.fs.release(one)
    expect(rig.lock(other, 2n, "write")).toBe(0)
    rig.fs.release(other)
  })

  check("locks: those of other files are other locks", async (rig) => {
    const { one } = openTwice(rig)
    const { handle } = rig.create("b")
    expect(rig.lock(one, 1n, "write")).toBe(0)
    expect(rig.lock(handle, 2n, "write")).toBe(0)
  })

  check("locks: hard links of a file share them, and they outlive its names", (rig) => {
    const { node, handle } = rig.create("a")
    sure(rig.link(node, "b"))
    const other = sure(rig.open(rig.walk("b"), O_RDWR))
    sure(rig.lock(handle, 1n, "write"))
    sure(rig.unlink("a"))
    sure(rig.unlink("b"))
    expect(rig.lock(other, 2n, "read")).toBe("EAGAIN")
    for (const open of [handle, other]) rig.fs.release(open)
  })
}
