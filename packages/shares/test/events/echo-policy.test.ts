/** What the guest may keep while a change is repeated. */
import { CACHED, CONSISTENT, DELEGATED, type PolicyOf } from "@skep/fuse"
import { type Attributes, newAttributes } from "@skep/vfs"
import { expect, test } from "vitest"
import type { Echo } from "../../src/events/echo.ts"
import { ECHO_GROUP, withEchoes } from "../../src/events/index.ts"

const S_IFDIR = 0o040000
const S_IFREG = 0o100000

function having(mode: number): Attributes {
  const attributes = newAttributes()
  attributes.mode = mode
  return attributes
}

function under(kind: Echo["kind"], policy = CONSISTENT): PolicyOf {
  const echo = { kind, owner: {}, at: { parent: 1, name: Buffer.from("f") }, type: 8, node: 0, words: "" }
  return withEchoes(() => policy, { at: (id) => (id === 7 ? echo : undefined) })
}

const asker = { uid: 0, gid: ECHO_GROUP + 7, pid: 1 }

test("withEchoes() lets a moment be kept of directories, and of what is about to be opened", () => {
  for (const kind of ["make", "remove", "modify", "attributes", "rename", "write"] as const) {
    expect(under(kind)(2, having(S_IFDIR), asker)).toEqual({ ...CONSISTENT, attributeMs: 1 })
    const file = under(kind)(2, having(S_IFREG), asker)
    expect(file).toEqual({ ...CONSISTENT, attributeMs: kind === "write" ? 1 : 0 })
  }
  expect(under("write", DELEGATED)(2, having(S_IFREG), asker)).toEqual(DELEGATED)
})

test("withEchoes() has the pages go of a file that changed", () => {
  expect(under("write", CACHED)(2, undefined, asker)).toEqual({ ...CACHED, keepCache: false })
})

test("withEchoes() changes nothing for anybody else, nor for the answer to a change", () => {
  const policyOf = under("write")
  for (const gid of [0, ECHO_GROUP - 1, ECHO_GROUP + 6])
    expect(policyOf(2, having(S_IFDIR), { uid: 0, gid, pid: 1 })).toBe(CONSISTENT)
  expect(policyOf(2, having(S_IFREG))).toBe(CONSISTENT)
})
