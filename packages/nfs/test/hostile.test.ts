import { memoryFileSystem } from "@skep/vfs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { mark, Rig } from "./client.ts"
import { Nfs3, OK } from "./nfs3.ts"
import { XdrWriter } from "./xdr.ts"

const PROGRAMS = [100000, 100003, 100005] as const

/** Arguments that look right in places: handles that are good, names, numbers at the edges. */
function argument(handles: readonly Buffer[]) {
  const number = fc.oneof(
    fc.constantFrom(0, 1, 2, 3, 4, 64, 65, 4096, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
    fc.nat(),
  )
  return fc.oneof(
    fc.constantFrom(...handles).map((handle) => new XdrWriter().opaque(handle).done()),
    number.map((value) => new XdrWriter().u32(value).done()),
    fc
      .constantFrom("a", "d", "..", ".", "", "x/y", "n".repeat(255), "n".repeat(300))
      .map((name) => new XdrWriter().opaque(name).done()),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  )
}

describe("whatever comes", () => {
  it("is answered or ends its connection, and no other", () => {
    using rig = new Rig(memoryFileSystem())
    const good = new Nfs3(rig.client())
    const { handle: root } = good.mount()
    const file = good.file(root, "a", "hello")
    const { handle: directory } = good.mkdir(root, "d")
    const call = fc.record({
      program: fc.constantFrom(...PROGRAMS),
      version: fc.constantFrom(2, 3, 3, 3, 4),
      procedure: fc.integer({ min: 0, max: 23 }),
      args: fc.array(argument([root, file, directory]), { maxLength: 8 }),
    })
    fc.assert(
      fc.property(fc.array(call, { minLength: 1, maxLength: 10 }), (calls) => {
        const client = rig.client()
        const messages = calls.map(({ args, ...what }, index) =>
          mark(client.request(index, what, Buffer.concat(args))),
        )
        client.send(Buffer.concat(messages))
        for (const index of calls.keys()) client.answer(index)
        client.close()
        expect(good.getattr(root).status).toBe(OK)
      }),
      { numRuns: 200 },
    )
  })

  it("may be any bytes at all", () => {
    using rig = new Rig(memoryFileSystem())
    const good = new Nfs3(rig.client())
    const { handle: root } = good.mount()
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 6 }),
        fc.boolean(),
        (parts, marked) => {
          const client = rig.client()
          for (const part of parts) client.send(marked ? mark(part) : part)
          for (let step = 0; step < 4; step++) rig.loop.step()
          client.close()
          expect(good.getattr(root).status).toBe(OK)
        },
      ),
      { numRuns: 300 },
    )
  })

  it("may be a good call with bits turned", () => {
    using rig = new Rig(memoryFileSystem())
    const good = new Nfs3(rig.client())
    const { handle: root } = good.mount()
    const file = good.file(root, "a", "hello")
    const write = Nfs3.writeArgs(file, 0, Buffer.alloc(100, "x"), 2).done()
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 5 }), (bits) => {
        const client = rig.client()
        const message = mark(client.request(7, { program: 100003, version: 3, procedure: 7 }, write))
        for (const bit of bits) {
          const at = bit % (message.length * 8)
          message[at >> 3] = (message[at >> 3] ?? 0) ^ (1 << (at & 7))
        }
        client.send(message)
        for (let step = 0; step < 4; step++) rig.loop.step()
        client.close()
        expect(good.getattr(root).status).toBe(OK)
      }),
      { numRuns: 200 },
    )
  })
})
