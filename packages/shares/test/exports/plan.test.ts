import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { contains } from "../../src/exports/overlap.ts"
import { diffOf, type PlanInput, planExports, planRemoval } from "../../src/exports/plan.ts"
import { type ExportRequest, parseExportRequest } from "../../src/exports/request.ts"
import { DLITE, LINUX, VAGRANT, XHYVE } from "./files.ts"

const FILE = "/etc/exports"
const request: ExportRequest = {
  machine: "dev",
  directories: [{ path: "/Users/me", readOnly: false }],
  client: "192.168.64.5",
  uid: 501,
  gid: 20,
}

function macosInput(content: string, deviceOf: PlanInput["deviceOf"] = () => 1): PlanInput {
  return { platform: "macos", target: { path: FILE, content }, others: [], deviceOf }
}

function refusal(work: () => unknown): unknown {
  try {
    work()
    return undefined
  } catch (error) {
    return error
  }
}

describe("planExports() for macOS", () => {
  it("adds a block, and shows what it adds", () => {
    const plan = planExports(request, macosInput(`${XHYVE}\n`))
    expect(plan.diff).toStrictEqual([
      "+4: # BEGIN skep dev",
      '+5: "/Users/me" -mapall=501:20 -alldirs 192.168.64.5',
      "+6: # END skep dev",
    ])
    expect(plan).toMatchObject({ changed: true, path: FILE })
    expect(planExports(request, macosInput(plan.content))).toMatchObject({ changed: false, diff: [] })
    expect(planRemoval("dev", "macos", { path: FILE, content: plan.content }).content).toBe(`${XHYVE}\n`)
  })

  it("puts what is on one disk on one line, by whole names", () => {
    const directories = ["/foo/bar", "/foobar", "/foo", "/Volumes/x"].map((path) => ({
      path,
      readOnly: false,
    }))
    const plan = planExports(
      { ...request, directories },
      macosInput("", (path) => (path.startsWith("/Volumes") ? 2 : 1)),
    )
    expect(plan.content.split("\n").slice(1, 3)).toStrictEqual(
      [
        '"/Volumes/x" -mapall=501:20 -alldirs 192.168.64.5',
        '"/foo" "/foo/bar" "/foobar" -mapall=501:20 -alldirs 192.168.64.5',
      ].toSorted(),
    )
  })

  it("says that one disk cannot be exported both ways", () => {
    const directories = [
      { path: "/Users/me", readOnly: false },
      { path: "/opt", readOnly: true },
    ]
    expect(refusal(() => planExports({ ...request, directories }, macosInput("")))).toMatchObject({
      code: "unsupported",
      message: expect.stringContaining('Cannot export "/opt" read-only and "/Users/me" writable') as string,
    })
    expect(
      refusal(() =>
        planExports(
          { ...request, directories },
          macosInput("", (path) => path.length),
        ),
      ),
    ).toBeUndefined()
  })

  it.each([
    [DLITE, '"/Users/me" lies inside the export of "/Users" by dlite (/etc/exports, line 2)', "192.168.64.5"],
    [
      VAGRANT,
      '"/Users/me" contains the export of "/Users/me/project" by vagrant (/etc/exports, line 2)',
      "192.168.33.10",
    ],
    [
      "/opt 192.168.64.5",
      '"/Users/me" is on the same disk as the export of "/opt" by somebody',
      "192.168.64.5",
    ],
    ["\n/Users/me -ro", '"/Users/me" is exported to the same clients already', "192.168.64.5"],
    [
      '# BEGIN skep other\n"/Users" -mapall=501:20 -alldirs 192.168.64.5\n# END skep other\n',
      "by Skep for other (/etc/exports, line 2)",
      "192.168.64.0/24",
    ],
  ])("explains what is in the way", (content, words, client) => {
    expect(refusal(() => planExports({ ...request, client }, macosInput(content)))).toMatchObject({
      code: "exists",
      message: expect.stringContaining(words) as string,
    })
  })

  it("is not stopped by exports to others, nor by its own", () => {
    const own = planExports(request, macosInput(`${XHYVE}\n${VAGRANT}\n`))
    expect(
      planExports({ ...request, directories: [{ path: "/Users", readOnly: true }] }, macosInput(own.content))
        .changed,
    ).toBe(true)
  })

  it("takes back exactly what it added, whatever is shared", () => {
    const directory = fc.record({
      path: fc.constantFrom("/a", "/a b", "/a/b", "/ü", '/q"x', "/back\\slash"),
      readOnly: fc.constant(false),
    })
    fc.assert(
      fc.property(
        fc.array(directory, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 3 }),
        (directories, disks) => {
          const before = `${VAGRANT}\n${XHYVE}`
          const plan = planExports(
            { ...request, directories },
            macosInput(before, (path) => path.length % disks),
          )
          expect(planRemoval("dev", "macos", { path: FILE, content: plan.content }).content).toBe(before)
        },
      ),
    )
  })
})

describe("planExports() for Linux", () => {
  const input = (content: string, target = ""): PlanInput => ({
    platform: "linux",
    target: { path: "/etc/exports.d/skep-dev.exports", content: target },
    others: [{ path: FILE, content }],
    deviceOf: () => 1,
  })

  it("has a file of its own", () => {
    const directories = [
      { path: "/srv/with space/x", readOnly: true },
      { path: "/home/me", readOnly: false },
    ]
    const plan = planExports({ ...request, directories }, input(LINUX))
    expect(plan.content.split("\n").map((line) => line.split(",")[0])).toStrictEqual([
      "# Made by skep",
      "/home/me 192.168.64.5(rw",
      "/srv/with\\040space/x 192.168.64.5(ro",
      "",
    ])
    expect(planExports({ ...request, directories }, input(LINUX, plan.content)).changed).toBe(false)
    expect(planExports({ ...request, directories: [] }, input(LINUX, plan.content)).content).toBe("")
  })

  it("explains the same path to the same clients, and only that", () => {
    const wanted = (path: string): ExportRequest => ({ ...request, directories: [{ path, readOnly: false }] })
    expect(refusal(() => planExports(wanted("/srv/octal name"), input(LINUX)))).toMatchObject({
      code: "exists",
      message: expect.stringContaining("by somebody (/etc/exports, line 5)") as string,
    })
    expect(refusal(() => planExports(wanted("/srv/octal name/inside"), input(LINUX)))).toBeUndefined()
    expect(refusal(() => planExports(wanted("/srv/homes"), input(LINUX)))).toBeUndefined()
    expect(refusal(() => planExports(wanted("/srv/world"), input(LINUX)))).toMatchObject({ code: "exists" })
  })
})

describe("contains()", () => {
  it("goes by whole names", () => {
    expect(contains("/foo", "/foobar")).toBe(false)
    expect(contains("/foo", "/foo/bar")).toBe(true)
    expect(contains("/", "/foo")).toBe(true)
    expect(contains("/foo", "/")).toBe(false)
  })
})

describe("diffOf()", () => {
  it("turns one into the other", () => {
    const lines = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 6 }).map((words) => words.join("\n"))
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const shown = diffOf(before, after)
        const old = before === "" ? [] : before.split("\n")
        const removed = shown
          .filter((line) => line.startsWith("-"))
          .map((line) => Number(line.slice(1, line.indexOf(":"))))
        const added = shown.filter((line) => line.startsWith("+"))
        const at = (removed[0] ?? Number(added[0]?.slice(1, added[0].indexOf(":")) ?? 1)) - 1
        old.splice(at, removed.length, ...added.map((line) => line.slice(line.indexOf(":") + 2)))
        expect(old.filter((line) => line !== "").join("\n")).toBe(
          after
            .split("\n")
            .filter((line) => line !== "")
            .join("\n"),
        )
      }),
    )
  })
})

describe("parseExportRequest()", () => {
  it.each([
    { machine: "a b" },
    { machine: "A" },
    { client: "everyone" },
    { client: "10.0.0.0/33" },
    { client: "10.0.0.1(rw)" },
    { client: "10.0.0.1 *" },
    { uid: -1 },
    { uid: 0xffffffff },
    { directories: [{ path: "relative" }] },
    { directories: [{ path: "/a\nb" }] },
    { directories: [{ path: "/a/../b" }] },
    { directories: [{ path: "/a/" }] },
    { directories: [{ path: "/a", more: 1 }] },
    { shell: "x" },
  ])("refuses %j", (wrong) => {
    expect(refusal(() => parseExportRequest({ ...request, ...wrong }))).toMatchObject({ code: "bad-options" })
  })

  it("takes what is right", () => {
    expect(parseExportRequest(request)).toStrictEqual(request)
  })
})
