/**
 * What may be shared, and beside what.
 *
 * @module
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import type { ShareRule } from "@skep/contract"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { hiddenBy, isGuests, isWithin } from "../../src/machine/guest-paths.ts"
import { ruleNamed, ruleOf, SHARES_MAX, sameRule, withRule } from "../../src/machine/share-rules.ts"

let host: TemporaryDirectory
const at = (...names: string[]): string => host.at(...names)

beforeAll(async () => {
  host = await temporaryDirectory()
  mkdirSync(at("real/sub"), { recursive: true })
  mkdirSync(at("skep/machines"), { recursive: true })
  writeFileSync(at("file"), "")
  symlinkSync("real", at("link"))
  symlinkSync("loop", at("loop"))
})
afterAll(() => host[Symbol.asyncDispose]())

function rule(path: string, target = path): ShareRule {
  return { path, target, readOnly: false, cache: "consistent", ownership: "virtual" }
}

describe("ruleOf()", () => {
  test("is writable, consistent and virtual, at the path by which it was named", async () => {
    expect(await ruleOf({ path: `${at("link")}/./sub/` }, [])).toEqual(rule(at("real/sub"), at("link/sub")))
  })

  test("takes what is said", async () => {
    const wish = {
      path: at("real"),
      target: "/data/",
      readOnly: true,
      cache: "cached",
      ownership: "real",
    } as const
    expect(await ruleOf(wish, [])).toEqual({ ...wish, target: "/data" })
  })

  test.each([
    ["nothing", "not-found", /there is no such directory$/, /^Make it with mkdir -p/],
    ["file", "bad-options", /it is not a directory$/, /^Share the directory that it is in: skep share add/],
    ["file/in", "bad-options", /a part of it is not a directory$/, /./],
    ["loop", "bad-options", /in a circle$/, /./],
    ["skep", "bad-options", /where Skep keeps its machines/, /./],
    ["skep/machines", "bad-options", /where Skep keeps its machines/, /./],
  ])("refuses %s: %s", async (name, code, message, next) => {
    await expect(ruleOf({ path: at(name) }, [at("skep")])).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
      next: expect.stringMatching(next),
    })
  })

  test.each(["relative", "", "./x", "/a\nb", "/a\0b", `/${"x".repeat(5000)}`])(
    "refuses %j as a path",
    async (path) => {
      await expect(ruleOf({ path }, [])).rejects.toMatchObject({ code: "bad-options" })
    },
  )

  test.each(["/", "/usr", "/usr/local", "/etc/app", "/var", "/run/x", "/proc", "/tmp", "/var/lib/docker/x"])(
    "refuses the target %s",
    async (target) => {
      await expect(ruleOf({ path: at("real"), target }, [])).rejects.toMatchObject({
        code: "bad-options",
        message: expect.stringContaining("the machine needs its own"),
        next: `Put it elsewhere: skep share add ${at("real")} --target /mnt/NAME`,
      })
    },
  )

  test.each(["/mnt/x", "/srv", "/home/u", "/root", "/opt/x", "/var/www", "/var/lib/app", "/tmp/x", "/Users"])(
    "takes the target %s",
    async (target) => {
      expect((await ruleOf({ path: at("real"), target }, [])).target).toBe(target)
    },
  )

  test("refuses what the host's kernel makes up", async () => {
    await expect(ruleOf({ path: "/proc/self", target: "/mnt/p" }, [])).rejects.toThrow(
      /made up by the host's kernel/,
    )
  })
})

describe("withRule()", () => {
  test("puts one beside the others, or in the place of one with its target", () => {
    const rules = withRule([rule("/a")], rule("/b"))
    expect(rules).toEqual([rule("/a"), rule("/b")])
    expect(withRule(rules, rule("/c", "/a"))).toEqual([rule("/b"), rule("/c", "/a")])
  })

  test("refuses targets in one another, and says what to do", () => {
    expect(() => withRule([rule("/a")], rule("/a/b"))).toThrow(
      /is in the share "\/a", and so in the machine already/,
    )
    expect(() => withRule([rule("/a/b")], rule("/a"))).toThrow(/the share "\/a\/b" is in it/)
    expect(withRule([rule("/a")], rule("/ab"))).toHaveLength(2)
  })

  test("has a bound", () => {
    const many = Array.from({ length: SHARES_MAX }, (_, index) => rule(`/s${index}`))
    expect(() => withRule(many, rule("/one-more"))).toThrow(/at most/)
  })

  test("whatever is added, no target is in another", () => {
    const path = fc
      .array(fc.constantFrom("a", "b", "ab"), { minLength: 1, maxLength: 3 })
      .map((names) => `/${names.join("/")}`)
    fc.assert(
      fc.property(fc.array(path), (paths) => {
        let rules: readonly ShareRule[] = []
        for (const one of paths) {
          try {
            rules = withRule(rules, rule(one))
          } catch (error) {
            expect(error).toMatchObject({ code: "bad-options" })
          }
        }
        for (const one of rules)
          for (const other of rules) expect(one !== other && isWithin(one.target, other.target)).toBe(false)
      }),
    )
  })
})

describe("ruleNamed()", () => {
  const rules = [rule("/a"), rule("/b", "/x"), rule("/c", "/y"), rule("/c", "/z")]
  test("finds by target and by path", () => {
    expect(ruleNamed(rules, "/a/").target).toBe("/a")
    expect(ruleNamed(rules, "/x").path).toBe("/b")
    expect(ruleNamed(rules, "/b").target).toBe("/x")
  })
  test("tells what is not there, what is a part, and what is meant twice", () => {
    expect(() => ruleNamed(rules, "/q")).toThrow('Cannot find a share "/q": there is none')
    expect(() => ruleNamed(rules, "/a/b")).toThrow(/a part of the share "\/a"/)
    expect(() => ruleNamed(rules, "/c")).toThrow(/several/)
  })
})

test("sameRule() compares all of it", () => {
  const one = rule("/a")
  expect(sameRule(one, { ...one })).toBe(true)
  for (const other of [
    { path: "/b" },
    { target: "/b" },
    { readOnly: true },
    { cache: "cached" as const },
    { ownership: "real" as const },
  ])
    expect(sameRule(one, { ...one, ...other })).toBe(false)
})

test("a place that may hold a share is not taken for the machine's own", () => {
  for (const target of ["/home/u", "/srv", "/opt", "/mnt", "/root", "/tmp/x"]) {
    expect(hiddenBy(target)).toBeUndefined()
    expect(isGuests(target)).toBe(false)
  }
})
