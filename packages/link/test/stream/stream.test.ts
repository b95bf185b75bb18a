import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { FRAME_MAX, noOffload, Parts } from "../../src/index.ts"
import { connected, framed, frameOf } from "./peer.ts"

const MIB = 1024 * 1024

describe("frames from the machine", () => {
  it("arrive whole, however the stream was cut", () => {
    const lengths = fc.oneof(
      fc.integer({ min: 14, max: 100 }),
      fc.integer({ min: 14, max: 3000 }),
      fc.constant(FRAME_MAX),
    )
    const piece = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 70_000 }))
    const cuts = fc.array(piece, { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(fc.array(lengths, { minLength: 1, maxLength: 12 }), cuts, (each, pieces) => {
        using all = connected()
        const { loop, link, recorder, peer, memory } = all
        const frames = each.map((length, index) => frameOf(length, index))
        const stream = Buffer.concat(frames.map(framed))
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          // Cuts too fine for a long stream are made coarser as it goes on.
          const length = turn > 200 ? 60_000 : (pieces[turn % pieces.length] ?? 1)
          at += Math.max(0, peer.write(stream.subarray(at, at + length)))
          loop.step()
        }
        all.until(() => recorder.frames.length === frames.length)
        for (const [index, heard] of recorder.frames.entries())
          expect(Buffer.compare(heard.bytes, frames[index] ?? new Uint8Array())).toBe(0)
        expect(link.counters).toMatchObject({
          framesIn: frames.length,
          bytesIn: stream.length - 4 * frames.length,
          malformed: 0,
        })
        expect(recorder.settles).toBeLessThanOrEqual(frames.length)
        expect(memory.arena.heap.used).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  it("come many a turn", () => {
    using all = connected()
    all.peer.write(Buffer.concat(Array.from({ length: 100 }, (_, index) => framed(frameOf(60, index)))))
    all.loop.step()
    expect([all.recorder.frames.length, all.recorder.settles]).toEqual([100, 1])
  })

  it.each([
    ["too-short", 0],
    ["too-short", 13],
    ["too-long", FRAME_MAX + 1],
    ["too-long", 0xffff_ffff],
  ] as const)("end the stream where a length is %s: %i", (reason, length) => {
    using all = connected()
    const { link, recorder, peer } = all
    const prefix = Buffer.alloc(8)
    prefix.writeUInt32BE(length)
    peer.write(Buffer.concat([framed(frameOf(60, 1)), prefix]))
    all.until(() => !link.carrier)
    expect([recorder.frames.length, recorder.settles, recorder.carriers]).toEqual([1, 1, [true, false]])
    expect(all.reasons).toEqual([reason])
    expect(link.counters).toMatchObject({ malformed: 1, broken: 1, framesIn: 1 })
    expect(peer.read()).toBe(false)
    expect(all.memory.arena.heap.used).toBe(0)
  })

  it("never bring us down, whatever the bytes are", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 10 }), (pieces) => {
        using all = connected()
        for (const piece of pieces) {
          // Some begin as a frame does, or nothing would get past the first length.
          all.peer.write(piece.length > 40 ? framed(piece).subarray(0, piece.length) : piece)
          all.loop.step()
        }
        all.peer.hangUp()
        all.until(() => !all.link.carrier)
        expect(all.memory.arena.heap.used).toBe(0)
      }),
      { numRuns: 100 },
    )
  })

  it("are lost one by one where there is no memory to keep them in, and the stream goes on", () => {
    using all = connected()
    const blocks = Array.from({ length: 8192 }, () => all.memory.allocate(1))
    const long = framed(frameOf(9000, 1))
    all.peer.write(long.subarray(0, 5000))
    all.loop.step()
    all.peer.write(long.subarray(5000, 6000))
    all.loop.step()
    all.peer.write(Buffer.concat([long.subarray(6000), framed(frameOf(77, 2))]))
    all.loop.step()
    expect(all.recorder.frames.map(({ bytes }) => bytes.length)).toEqual([77])
    expect(all.link.counters).toMatchObject({ malformed: 1, broken: 0 })
    for (const each of blocks) all.memory.free(each, 1)
  })
})

describe("frames to the machine", () => {
  it("go by send and by lend, with less than was lent, in order", () => {
    using all = connected()
    const { loop, link, peer, memory } = all
    const headers = frameOf(60, 0)
    const parts = new Parts()
    const payload = memory.allocate(3000)
    memory.write(frameOf(3000, 5), 0, 3000, payload)
    parts.push(payload, 1000)
    parts.push(payload + 2000, 1)
    expect(link.send(headers, 4, 20, parts)).toBe(true)
    expect([link.lend(60, 1000), link.lend(60, 1000), link.lend(60, 1000)]).toEqual([true, true, true])
    expect([link.lent.count, link.lent.bytes]).toEqual([3, 3000])
    for (let index = 0; index < 3; index++)
      memory.write(frameOf(1000, 50 + index), 0, 1000, link.lent.addressAt(index))
    link.use(headers, 0, 54, 1000)
    link.use(headers, 0, 60, 10)
    link.unlend()
    expect(link.send(headers, 0, 14)).toBe(true)
    loop.step()
    peer.read()
    expect(peer.frames).toEqual([
      Buffer.concat([headers.subarray(4, 24), frameOf(1000, 5), frameOf(3000, 5).subarray(2000, 2001)]),
      Buffer.concat([headers.subarray(0, 54), frameOf(1000, 50)]),
      Buffer.concat([headers, frameOf(10, 51)]),
      Buffer.from(headers.subarray(0, 14)),
    ])
    memory.free(payload, 3000)
    expect(memory.arena.heap.used).toBe(0)
    expect(link.counters).toMatchObject({ framesOut: 4, bytesOut: 1021 + 1054 + 70 + 14 })
    expect(() => link.use(headers, 0, 14, 0)).toThrow(/not lent/)
    const offload = { ...noOffload(), checksumStart: 34 }
    expect(() => link.send(headers, 0, 14, undefined, offload)).toThrow(/nobody would finish/)
  })

  it("wait for a machine that does not read, bounded, and go on when it does", () => {
    using all = connected(65_520)
    const { loop, link, recorder, peer, memory } = all
    const headers = frameOf(54, 0)
    let taken = 0
    const offer = (): void => {
      while (taken < 100 && link.lend(54, 60_000)) {
        const at = link.lent.addressAt(0) - memory.base
        memory.bytes.fill(taken, at, at + 60_000)
        link.use(headers, 0, 54, 60_000)
        link.unlend()
        taken++
      }
    }
    recorder.room = offer
    offer()
    for (let step = 0; step < 50; step++) loop.step()
    const first = taken
    expect(first).toBeGreaterThan(3)
    expect(first).toBeLessThan(30)
    expect(memory.arena.heap.used).toBeLessThanOrEqual(MIB)
    expect(recorder.rooms).toBe(0)
    all.until(() => {
      peer.read(100_000)
      return taken === 100 && memory.arena.heap.used === 0
    })
    peer.read()
    expect(peer.frames.map((frame) => frame.at(-1))).toEqual(Array.from({ length: 100 }, (_, index) => index))
    expect(recorder.rooms).toBeGreaterThan(1)
    expect(link.counters.droppedOut).toBe(0)
  })

  it("are dropped, counted, where nobody is there", () => {
    using all = connected()
    const { link, peer, recorder } = all
    peer.hangUp()
    all.until(() => !link.carrier)
    expect(link.send(frameOf(60, 1), 0, 60)).toBe(false)
    expect(link.lend(54, 100)).toBe(false)
    link.unlend()
    expect(link.counters.droppedOut).toBe(1)
    expect([all.reasons, recorder.carriers]).toEqual([["hung-up"], [true, false]])
    expect(all.memory.arena.heap.used).toBe(0)
  })

  it("can be lent, used and given back while the machine goes away", () => {
    using all = connected()
    const { link, peer, memory, recorder } = all
    expect([link.lend(54, 1000), link.lend(54, 1000), link.lend(54, 1000)]).toEqual([true, true, true])
    const place = link.lent.addressAt(1) - memory.base
    peer.hangUp()
    link.use(frameOf(60, 1), 0, 54, 1000)
    link.flush()
    expect(link.carrier).toBe(false)
    // The memory of what is lent stays until the round is over.
    expect(memory.arena.heap.used).toBeGreaterThan(0)
    memory.bytes.fill(1, place, place + 1000)
    link.use(frameOf(60, 1), 0, 54, 1000)
    link.unlend()
    expect(memory.arena.heap.used).toBe(0)
    expect(recorder.carriers).toEqual([true, false])
    expect(link.counters.droppedOut).toBe(1)
  })

  it("can end the link from within the turn in which they answer", () => {
    using all = connected()
    const { link, peer, recorder } = all
    peer.write(Buffer.concat([framed(frameOf(100, 1)), framed(frameOf(100, 2))]))
    recorder.answer = () => link[Symbol.dispose]()
    all.loop.step()
    expect(recorder.frames).toHaveLength(1)
    expect(all.memory.arena.heap.used).toBe(0)
    expect(peer.read()).toBe(false)
  })

  it("may find that the machine has gone while they answer it, in the midst of a frame that was carried", () => {
    using all = connected()
    const { link, peer, recorder, loop } = all
    const long = framed(frameOf(3000, 1))
    peer.write(long.subarray(0, 100))
    loop.step()
    peer.write(Buffer.concat([long.subarray(100), framed(frameOf(100, 2))]))
    recorder.answer = ({ bytes }) => {
      peer.hangUp()
      link.send(bytes, 0, 60)
      link.flush()
    }
    loop.step()
    expect(recorder.frames.map(({ bytes }) => bytes.length)).toEqual([3000])
    expect([recorder.settles, link.carrier]).toEqual([1, false])
    expect(all.memory.arena.heap.used).toBe(0)
  })
})
