import type { ForwardRule } from "@skep/contract"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ForwardTable, type OpenForward } from "../../src/forward/forward-table.ts"
import { listenerName, ruleName } from "../../src/forward/rule.ts"

const RULE: ForwardRule = { transport: "tcp", hostAddress: "127.0.0.1", hostPort: 8080, guestPort: 80 }

/** Listeners that are only written down. */
function rig(options: { max?: number; refuse?: (forward: OpenForward) => Error | undefined } = {}) {
  const listening = new Set<string>()
  let nowMs = 1000
  const table = new ForwardTable<string>({
    open: (forward) => {
      const error = options.refuse?.(forward)
      if (error !== undefined) throw error
      const name = listenerName(forward.rule)
      if (listening.has(name)) throw new Error(`${name} twice`)
      listening.add(name)
      return name
    },
    close: (name) => {
      if (!listening.delete(name)) throw new Error(`${name} is not there`)
    },
    now: () => nowMs++,
    max: options.max ?? 100,
  })
  return { table, listening }
}

function codeOf(run: () => unknown): unknown {
  try {
    run()
    return undefined
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : error
  }
}

describe("ForwardTable", () => {
  it("opens and closes a listener for each rule", () => {
    const { table, listening } = rig()
    const { id, rule, adopted } = table.add(RULE)
    expect({ rule, adopted }).toEqual({ rule: RULE, adopted: false })
    expect([...listening]).toEqual(["tcp 127.0.0.1:8080"])
    expect(table.remove({ id })).toBe(true)
    expect(table.remove({ id })).toBe(false)
    expect(listening.size + table.size).toBe(0)
  })

  it("adopts a rule that is there, and then heeds only who came last", () => {
    const { table, listening } = rig()
    const first = table.add({ ...RULE, owner: "docker" })
    const second = table.add({ ...RULE, owner: "user" })
    expect(second).toMatchObject({ adopted: true, rule: { owner: "user" } })
    expect(table.list()).toHaveLength(1)
    expect(table.remove({ id: first.id })).toBe(false)
    expect(listening.size).toBe(1)
    expect(table.remove({ id: second.id })).toBe(true)
    expect(listening.size).toBe(0)
  })

  it("knows a rule however its addresses are written", () => {
    const { table } = rig()
    table.add({ ...RULE, hostAddress: "::1" })
    expect(table.add({ ...RULE, hostAddress: "0:0:0:0:0:0:0:1" }).adopted).toBe(true)
    expect(codeOf(() => table.add({ ...RULE, hostAddress: "localhost" }))).toBe("bad-options")
    expect(codeOf(() => table.add({ ...RULE, guestAddress: "guest" }))).toBe("bad-options")
  })

  it("removes by rule, but not what another owner has", () => {
    const { table } = rig()
    table.add({ ...RULE, owner: "user" })
    expect(table.remove({ rule: { ...RULE, owner: "docker" } })).toBe(false)
    expect(table.remove({ rule: { ...RULE, guestPort: 81 } })).toBe(false)
    expect(table.remove({ rule: RULE })).toBe(true)
  })

  it.each<[string, Partial<ForwardRule>, Partial<ForwardRule>, boolean]>([
    ["another port of the guest", {}, { guestPort: 81 }, true],
    ["another machine", { machine: "web" }, { machine: "db" }, true],
    ["every address", {}, { hostAddress: "0.0.0.0" }, true],
    ["one of every address", { hostAddress: "0.0.0.0" }, {}, true],
    ["one of every IPv6 address", { hostAddress: "::" }, { hostAddress: "::1" }, true],
    ["another address", {}, { hostAddress: "127.0.0.2" }, false],
    ["another family", { hostAddress: "0.0.0.0" }, { hostAddress: "::" }, false],
    ["another port of the host", {}, { hostPort: 8081 }, false],
    ["another transport", {}, { transport: "udp" }, false],
  ])("says address-in-use for one listener with two ends: %s", (_name, first, second, inTheWay) => {
    const { table, listening } = rig()
    table.add({ ...RULE, ...first })
    expect(codeOf(() => table.add({ ...RULE, ...second }))).toBe(inTheWay ? "address-in-use" : undefined)
    expect(listening.size).toBe(inTheWay ? 1 : 2)
  })

  it("says what is in the way, and whose", () => {
    const { table } = rig()
    table.add({ ...RULE, owner: "docker" })
    expect(() => table.add({ ...RULE, machine: "web" })).toThrow(
      'Cannot forward "tcp 127.0.0.1:8080 -> web:80": "tcp 127.0.0.1:8080 -> guest:80" of docker is in place',
    )
  })

  it.each([
    ["EADDRINUSE", "address-in-use"],
    ["EACCES", "permission-denied"],
    ["EADDRNOTAVAIL", "permission-denied"],
    ["EAFNOSUPPORT", "unsupported"],
    ["EINVAL", "bad-options"],
    ["EMFILE", "busy"],
    ["EIO", "EIO"],
  ])("turns %s of the kernel into %s, and keeps nothing", (errno, code) => {
    const { table } = rig({ refuse: () => Object.assign(new Error(errno), { code: errno }) })
    expect(codeOf(() => table.add(RULE))).toBe(code)
    expect(table.size).toBe(0)
    expect(codeOf(() => table.add(RULE))).toBe(code)
  })

  it("is bounded", () => {
    const { table } = rig({ max: 2 })
    table.add(RULE)
    table.add({ ...RULE, hostPort: 2 })
    expect(codeOf(() => table.add({ ...RULE, hostPort: 3 }))).toBe("busy")
    expect(table.add(RULE).adopted).toBe(true)
  })

  it("lists by machine and owner, with what came in", () => {
    let seen: OpenForward | undefined
    const { table } = rig({
      refuse: (forward) => {
        seen ??= forward
        return undefined
      },
    })
    table.add({ ...RULE, machine: "web", owner: "docker" })
    table.add({ ...RULE, hostPort: 2, machine: "db", owner: "docker" })
    table.add({ ...RULE, hostPort: 3, machine: "db" })
    if (seen !== undefined) seen.accepted++
    expect(table.list({ machine: "web" })).toEqual([
      { rule: { ...RULE, machine: "web", owner: "docker" }, sinceMs: 1000, accepted: 1 },
    ])
    expect(table.list({ owner: "docker" }).map(({ rule }) => rule.hostPort)).toEqual([8080, 2])
    expect(table.list({ machine: "db", owner: "docker" }).map(({ rule }) => rule.hostPort)).toEqual([2])
    expect(table.list()).toHaveLength(3)
  })

  it("lets a machine's forwards go with it", () => {
    const { table, listening } = rig()
    table.add({ ...RULE, machine: "web" })
    table.add({ ...RULE, hostPort: 2, machine: "db" })
    table.add({ ...RULE, hostPort: 3 })
    expect(table.removeMachine("web").map(({ hostPort }) => hostPort)).toEqual([8080])
    expect([...listening]).toEqual(["tcp 127.0.0.1:2", "tcp 127.0.0.1:3"])
  })

  it("has a listener for each rule in it and no other, whatever is asked", () => {
    const rule = fc.record({
      transport: fc.constantFrom("tcp", "udp"),
      hostAddress: fc.constantFrom("127.0.0.1", "0.0.0.0", "::1"),
      hostPort: fc.integer({ min: 1, max: 3 }),
      guestPort: fc.integer({ min: 1, max: 2 }),
    })
    const step = fc.oneof(
      fc.record({ add: rule }),
      fc.record({ remove: rule }),
      fc.record({ id: fc.integer({ min: 1, max: 9 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { table, listening } = rig()
        for (const doing of steps) {
          if ("add" in doing) codeOf(() => table.add(doing.add as ForwardRule))
          else if ("remove" in doing) table.remove({ rule: doing.remove as ForwardRule })
          else table.remove(doing)
          expect(new Set(table.list().map((entry) => listenerName(entry.rule)))).toEqual(listening)
          expect(new Set(table.list().map((entry) => ruleName(entry.rule))).size).toBe(table.size)
        }
      }),
    )
  })
})
