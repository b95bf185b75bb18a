import { memoryFileSystem } from "@skep/vfs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as siphash from "../src/handle/siphash.ts"
import * as status from "../src/status.ts"
import { Rig } from "./client.ts"
import { Nfs3, OK } from "./nfs3.ts"

describe("HalfSipHash", () => {
  it("is that of its authors", () => {
    // vectors.h of github.com/veorq/SipHash: key 00..07, messages 00, 01, 02, … of each length.
    const vectors =
      "218d1f59b9b83cc8 be552412f8387315 064f39ef7c50eb57 ce0f1a45f7060679 d5e78a175be52ea1 cb9d7c3f2f3db580 ce3e91358aa2bc25 ff202728b07bc684 edfee820bce4858c 5b51cccc13888307"
    const key = { low: 0x03020100, high: 0x07060504 }
    const bytes = Uint8Array.from({ length: 16 }, (_, index) => index)
    const hashes = Array.from({ length: 10 }, (_, length) => {
      siphash.hash(key, bytes, 0, length)
      const result = Buffer.alloc(8)
      result.writeUInt32LE(siphash.result.low, 0)
      result.writeUInt32LE(siphash.result.high, 4)
      return result.toString("hex")
    })
    expect(hashes.join(" ")).toBe(vectors)
  })
})

describe("handles", () => {
  it("outlive the server that gave them out", () => {
    const fileSystem = memoryFileSystem()
    let file: Uint8Array = Buffer.alloc(0)
    let root: Uint8Array = Buffer.alloc(0)
    let verifier = ""
    {
      using rig = new Rig(fileSystem)
      const nfs = new Nfs3(rig.client())
      root = nfs.mount().handle
      file = nfs.file(root, "a", "hello")
      verifier = nfs.commit(file).verifier
    }
    using rig = new Rig(fileSystem)
    const nfs = new Nfs3(rig.client())
    expect(nfs.read(file, 0, 9).data.toString()).toBe("hello")
    expect(nfs.lookup(root, "a").handle).toEqual(file)
    expect(nfs.mount().handle).toEqual(root)
    // And clients learn that the server is another.
    expect(nfs.commit(file).verifier).not.toBe(verifier)
  })

  it("of another server are none", () => {
    using rig = new Rig(memoryFileSystem())
    const { handle } = new Nfs3(rig.client()).mount()
    using other = new Rig(memoryFileSystem(), { identity: Buffer.from("another server's secret") })
    expect(new Nfs3(other.client()).getattr(handle).status).toBe(status.BADHANDLE)
  })

  it("that are forged lead nowhere", () => {
    using rig = new Rig(memoryFileSystem())
    const nfs = new Nfs3(rig.client())
    const { handle: root } = nfs.mount()
    const file = nfs.file(root, "a")
    for (const handle of [root, file])
      for (let bit = 0; bit < handle.length * 8; bit++) {
        const forged = Buffer.from(handle)
        forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(nfs.getattr(forged).status).toBe(status.BADHANDLE)
      }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(nfs.getattr(bytes).status).toBe(status.BADHANDLE)
      }),
    )
  })

  it("are found again beyond what is kept of them", () => {
    const fileSystem = memoryFileSystem()
    using rig = new Rig(fileSystem, { handles: 16 })
    const nfs = new Nfs3(rig.client())
    const { handle: root } = nfs.mount()
    const files = Array.from({ length: 100 }, (_, index) => nfs.file(root, `f${index}`, `content ${index}`))
    for (const [index, file] of files.entries())
      expect(nfs.read(file, 0, 99).data.toString()).toBe(`content ${index}`)
    for (const [index, file] of files.entries()) expect(nfs.lookup(root, `f${index}`).handle).toEqual(file)
    for (const index of files.keys()) expect(nfs.remove(root, `f${index}`).status).toBe(OK)
    for (const file of files) expect(nfs.getattr(file).status).toBe(status.STALE)
  })
})
