import { describe, expect, it } from "vitest"
import {
  allowed,
  type Identity,
  MAY_EXECUTE,
  MAY_READ,
  MAY_WRITE,
  newAttributes,
  refusedChange,
} from "../../src/index.ts"

const REGULAR = 0o100000
const DIRECTORY = 0o040000
const EPERM = -1
const EACCES = -13

const file = (mode: number, type = REGULAR) => ({ ...newAttributes(), mode: type | mode, uid: 10, gid: 20 })
const owner: Identity = { uid: 10, gid: 99 }
const member: Identity = { uid: 11, gid: 20 }
const listed: Identity = { uid: 11, gid: 99, groups: [1, 20] }
const other: Identity = { uid: 12, gid: 99 }
const root: Identity = { uid: 0, gid: 0 }

describe("allowed()", () => {
  it("looks at the owner's bits for the owner, the group's for its members, and the rest for the rest", () => {
    const rights = (who: Identity, mode: number): string =>
      [MAY_READ, MAY_WRITE, MAY_EXECUTE]
        .map((want, index) => (allowed(file(mode), who, want) ? "rwx".charAt(index) : "-"))
        .join("")
    expect([owner, member, listed, other].map((who) => rights(who, 0o741))).toEqual([
      "rwx",
      "r--",
      "r--",
      "--x",
    ])
    // The owner is not helped by what all others may.
    expect(rights(owner, 0o077)).toBe("---")
    expect(rights(member, 0o707)).toBe("---")
  })

  it("wants all that was asked", () => {
    expect(allowed(file(0o400), owner, MAY_READ)).toBe(true)
    expect(allowed(file(0o400), owner, MAY_READ | MAY_WRITE)).toBe(false)
  })

  it("lets root do anything but execute what nobody may", () => {
    expect(allowed(file(0), root, MAY_READ | MAY_WRITE)).toBe(true)
    expect(allowed(file(0), root, MAY_EXECUTE)).toBe(false)
    expect(allowed(file(0o010), root, MAY_EXECUTE)).toBe(true)
    expect(allowed(file(0, DIRECTORY), root, MAY_EXECUTE)).toBe(true)
  })
})

describe("refusedChange()", () => {
  it.each([
    ["mode by the owner", owner, { mode: 0o600 }, 0],
    ["mode by another", member, { mode: 0o600 }, EPERM],
    ["giving away", owner, { uid: 12 }, EPERM],
    ["giving to oneself what one has", owner, { uid: 10 }, 0],
    ["a group one is in", { ...owner, groups: [7] }, { gid: 7 }, 0],
    ["a group one is not in", owner, { gid: 7 }, EPERM],
    ["the group it has", owner, { gid: 20 }, 0],
    ["a group by another", member, { gid: 20 }, EPERM],
    ["size by who may write", member, { size: 0 }, 0],
    ["size by who may not", other, { size: 0 }, EACCES],
    ["now by who may write", member, { modify: "now" }, 0],
    ["now by who may not", other, { access: "now" }, EACCES],
    ["a time by the owner", owner, { modify: { seconds: 1, nanoseconds: 0 } }, 0],
    ["a time by who may write", member, { modify: { seconds: 1, nanoseconds: 0 } }, EPERM],
    ["anything by root", root, { uid: 1, mode: 0, size: 0 }, 0],
  ] as const)("%s", (_, who, changes, expected) => {
    expect(refusedChange(file(0o660), who, changes)).toBe(expected)
  })
})
