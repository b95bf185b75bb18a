import { MemoryLink } from "@skep/link"
import { describe, expect, it } from "vitest"
import { type Limits, limitsOf, type Sharer, Shares } from "../../src/flow/shares.ts"
import { FlatMemory } from "../rig/flat-memory.ts"

const memory = new FlatMemory(4096)
const LINK = new MemoryLink({ name: "one", memory })
const OTHER = new MemoryLink({ name: "other", memory })

function shares(limits: Partial<Limits>): Shares<Sharer> {
  return new Shares<Sharer>(limitsOf(limits))
}

function begun(of: Shares<Sharer>, link = LINK): Sharer {
  const flow = { link, connecting: false }
  of.add(flow)
  return flow
}

describe("Shares", () => {
  it("are full for one link before they are for all", () => {
    const it = shares({ mostFlows: 3, mostOfLink: 2 })
    const first = begun(it)
    begun(it)
    expect([it.isFull(LINK), it.isFull(OTHER)]).toEqual([true, false])
    begun(it, OTHER)
    expect([it.isFull(LINK), it.isFull(OTHER)]).toEqual([true, true])
    it.delete(first)
    expect([it.isFull(LINK), it.isFull(OTHER)]).toEqual([false, false])
  })

  it("count a flow as connecting until it stands, once", () => {
    const it = shares({ mostConnecting: 1 })
    const flow = begun(it)
    expect(it.isConnecting(LINK)).toBe(false)
    it.connects(flow)
    expect([it.isConnecting(LINK), it.isConnecting(OTHER)]).toEqual([true, false])
    it.stands(flow)
    it.stands(flow)
    expect(it.isConnecting(LINK)).toBe(false)
    it.connects(begun(it))
    expect(it.isConnecting(LINK)).toBe(true)
  })

  it("let flows rest beside the others, a quarter of all, and name the oldest that has to go", () => {
    const it = shares({ mostFlows: 4, mostOfLink: 1 })
    const first = begun(it)
    expect(it.rest(first)).toBeUndefined()
    expect(it.isFull(LINK)).toBe(false)
    const second = begun(it)
    expect(it.isFull(LINK)).toBe(true)
    expect(it.rest(second)).toBe(first)
    it.delete(first)
    begun(it)
    expect([it.isFull(LINK), it.isFull(OTHER)]).toEqual([true, false])
  })

  it("tell how much is kept, of a link and of all", () => {
    const it = shares({ mostKept: 100 })
    const [flow, rest] = [begun(it), begun(it, OTHER)]
    const [mine, others] = [it.allowance(LINK), it.allowance(OTHER)]
    expect([mine.take(50), mine.take(1), others.take(30), others.take(21)]).toEqual([
      true,
      false,
      true,
      false,
    ])
    expect([it.keptBytes, it.keptBytesOf(LINK), it.keptBytesOf(OTHER)]).toEqual([80, 50, 30])
    mine.give(50)
    it.delete(flow)
    others.give(30)
    it.delete(rest)
    expect([it.keptBytes, it.keptBytesOf(LINK), it.keptBytesOf(OTHER)]).toEqual([0, 0, 0])
  })

  it("take back what a flow kept also when it has left already", () => {
    const it = shares({ mostKept: 100 })
    const flow = begun(it)
    const allowance = it.allowance(LINK)
    allowance.take(40)
    it.delete(flow)
    it.detach(LINK)
    allowance.give(40)
    expect([it.keptBytes, it.keptBytesOf(LINK)]).toEqual([0, 0])
  })
})
