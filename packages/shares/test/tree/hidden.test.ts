import { type FileSystem, forwarding, memoryFileSystem, newAttributes } from "@skep/vfs"
import { describe, expect, it } from "vitest"
import { type Hidden, withHidden } from "../../src/tree/hidden.ts"
import { bytes, list, makeDirectory, makeFile, O_RDWR, root, walk } from "./tree-rig.ts"

const ENOENT = -2
const EACCES = -13

/** `/home/.skep/key` with `.skep` hidden, and beside it another directory of that name. */
function scene(): { readonly inner: FileSystem; readonly shown: FileSystem; readonly hidden: Hidden } {
  const inner = memoryFileSystem()
  const home = makeDirectory(inner, inner.root, "home")
  const secret = makeDirectory(inner, home, ".skep")
  makeFile(inner, secret, "key")
  makeDirectory(inner, inner.root, ".skep")
  const into = newAttributes()
  inner.getAttributes(secret, -1, root, into)
  const { device, inoLow, inoHigh } = into
  const hidden = { list: [{ device, inoLow, inoHigh, name: bytes(".skep") }] }
  return { inner, hidden, shown: withHidden(inner, hidden) }
}

describe("withHidden()", () => {
  it("shows no such entry, and all others", () => {
    const { shown } = scene()
    expect(walk(shown, "home/.skep")).toBe(ENOENT)
    expect(walk(shown, ".skep")).toBeGreaterThan(0)
    expect(list(shown, walk(shown, "home"))).toEqual([])
    expect(list(shown, shown.root)).toEqual(["home", ".skep"])
  })

  it("lets nobody put anything there, or move it into sight", () => {
    const { inner, shown } = scene()
    const home = walk(shown, "home")
    const secret = { parent: home, name: bytes(".skep") }
    const open = { parent: home, name: bytes("open") }
    makeDirectory(shown, home, "open")
    expect(shown.rename(secret, { parent: home, name: bytes("seen") }, 0, root)).toBe(ENOENT)
    expect(shown.rename(open, secret, 0, root)).toBe(EACCES)
    expect(shown.removeDirectory(home, bytes(".skep"), root)).toBe(ENOENT)
    expect(shown.unlink(home, bytes(".skep"), root)).toBe(ENOENT)
    const how = { flags: O_RDWR, mode: 0o600, opened: -1 }
    expect(shown.create(home, bytes(".skep"), how, root, newAttributes())).toBe(EACCES)
    expect(makeDirectory(shown, home, ".skep")).toBeLessThan(0)
    expect(walk(inner, "home/.skep/key")).toBeGreaterThan(0)
  })

  it("stays hidden when what is around it moves, and by a durable handle", () => {
    const { inner, shown } = scene()
    const handle = new Uint8Array(52)
    const length = inner.durable(walk(inner, "home/.skep"), handle)
    const from = { parent: shown.root, name: bytes("home") }
    expect(shown.rename(from, { parent: shown.root, name: bytes("house") }, 0, root)).toBe(0)
    expect(walk(shown, "house/.skep")).toBe(ENOENT)
    expect(shown.find(handle.subarray(0, length))).toBeLessThan(0)
  })

  it("gives back the references that it does not pass on", () => {
    const { hidden, inner } = scene()
    let references = 0
    const counting: FileSystem = {
      ...forwarding(inner),
      lookup: (...args) => {
        const node = inner.lookup(...args)
        if (node > 0) references++
        return node
      },
      forget: (node, count) => {
        references -= count
        inner.forget(node, count)
      },
    }
    const counted = withHidden(counting, hidden)
    const home = walk(inner, "home")
    expect(counted.lookup(home, bytes(".skep"), root, newAttributes())).toBe(ENOENT)
    expect(counted.unlink(home, bytes(".skep"), root)).toBe(ENOENT)
    expect(references).toBe(0)
  })
})
