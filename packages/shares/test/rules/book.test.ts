import { existsSync, readFileSync, writeFileSync } from "node:fs"
import type { ShareRule } from "@skep/contract"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { Book } from "../../src/rules/book.ts"
import { placeOfLife, SHARES_MAX } from "../../src/tree/numbers.ts"

const never = (reason: string): void => {
  throw new Error(reason)
}

function rule(target: string, more: Partial<ShareRule> = {}): ShareRule {
  return { path: target, target, readOnly: false, cache: "consistent", ownership: "virtual", ...more }
}

const here = { device: 1, inode: "100" }
const elsewhere = { device: 1, inode: "200" }

describe("Book", () => {
  it("keeps what it was told, for another one on the same file", async () => {
    await using directory = await temporaryDirectory()
    const book = Book.open(directory.at("shares.json"), never)
    expect(existsSync(directory.at("shares.json"))).toBe(false)
    book.put(rule("/a"), here)
    book.put(rule("/b"), elsewhere)
    book.save()
    const next = Book.open(directory.at("shares.json"), never)
    expect(next.entries).toEqual(book.entries)
    expect(next.home).toBe(1)
  })

  it("gives no number and no life twice", async () => {
    await using directory = await temporaryDirectory()
    const book = Book.open(directory.at("shares.json"), never)
    const first = book.put(rule("/a"), here)
    book.remove(first.number)
    const second = book.put(rule("/a"), here)
    expect(second.number).toBeGreaterThan(first.number)
    expect(second.life).toBeGreaterThan(first.life)
  })

  it("keeps the number at a target, and the life of a directory", async () => {
    await using directory = await temporaryDirectory()
    const book = Book.open(directory.at("shares.json"), never)
    const first = book.put(rule("/a"), here)
    expect(book.put(rule("/a", { readOnly: true }), here)).toMatchObject({
      number: first.number,
      life: first.life,
    })
    const moved = book.put(rule("/a"), elsewhere)
    expect(moved).toMatchObject({ number: first.number, life: first.life + 1 })
    expect(book.put(rule("/a", { path: "/b" }), elsewhere).life).toBe(moved.life + 1)
    expect(book.entries).toHaveLength(1)
  })

  it("gives a guest that knows nothing lives that the one before did not have", async () => {
    await using directory = await temporaryDirectory()
    const book = Book.open(directory.at("shares.json"), never)
    const before = ["/a", "/b"].map((target) => book.put(rule(target), here))
    book.renew()
    expect(book.entries.map(({ number }) => number)).toEqual(before.map(({ number }) => number))
    const lives = book.entries.map(({ life }) => life)
    expect(Math.min(...lives)).toBeGreaterThan(Math.max(...before.map(({ life }) => life)))
    for (let boots = 0; boots < 1000; boots++) {
      book.renew()
      expect(new Set(book.entries.map(({ life }) => placeOfLife(life))).size).toBe(2)
    }
  })

  it("has room for so many, and says busy for more", async () => {
    await using directory = await temporaryDirectory()
    const book = Book.open(directory.at("shares.json"), never)
    for (let index = 0; index < SHARES_MAX; index++) book.put(rule(`/a/${index}`), here)
    expect(() => book.put(rule("/b"), here)).toThrow(expect.objectContaining({ code: "busy" }))
    book.put(rule("/a/0", { readOnly: true }), here)
  })

  it.each(["", "{", "[]", `{"version":2}`, `{"version":1,"nextNumber":1,"nextLife":1,"shares":[{}]}`])(
    "says so of a file with %j, and begins anew",
    async (content) => {
      await using directory = await temporaryDirectory()
      const path = directory.at("shares.json")
      writeFileSync(path, content)
      const reasons: string[] = []
      const book = Book.open(path, (reason) => reasons.push(reason))
      expect(reasons).toHaveLength(1)
      expect(book.entries).toEqual([])
      book.put(rule("/a"), here)
      book.save()
      expect(readFileSync(path, "utf8")).toContain(`"/a"`)
    },
  )
})
