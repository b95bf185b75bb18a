import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { blocksIn, withBlock } from "../../src/exports/blocks.ts"
import { foreignFile, VAGRANT, XHYVE } from "./files.ts"

const FILE = "/etc/exports"
const LINE = '"/Users/me" -mapall=501:20 -alldirs 192.168.64.2'
const OTHER = '"/Volumes/a b" -mapall=501:20 -alldirs -ro 192.168.64.3'
const machine = fc.constantFrom("default", "dev", "a-1")
const body = fc.array(fc.constantFrom(LINE, OTHER), { minLength: 1, maxLength: 3 })

/** A file that can be added to: its last line does not go on. */
const fit = foreignFile.filter((file) => !file.endsWith("\\")).filter((file) => !/\\\r?\n?$/.test(file))

function codeOf(work: () => unknown): unknown {
  try {
    work()
    return "done"
  } catch (error) {
    return error
  }
}

describe("withBlock()", () => {
  it("leaves every file as it was when the block is taken out again", () => {
    fc.assert(
      fc.property(fit, machine, body, (file, name, lines) => {
        const added = withBlock(file, FILE, name, lines)
        expect(added.startsWith(file)).toBe(true)
        expect(withBlock(added, FILE, name, [])).toBe(file)
      }),
      { numRuns: 500 },
    )
  })

  it("changes nothing the second time", () => {
    fc.assert(
      fc.property(fit, machine, body, (file, name, lines) => {
        const once = withBlock(file, FILE, name, lines)
        expect(withBlock(once, FILE, name, lines)).toBe(once)
        expect(withBlock(file, FILE, name, [])).toBe(file)
      }),
    )
  })

  it("keeps the bytes around the block, whatever is done to it, and in any order", () => {
    const step = fc.tuple(machine, fc.oneof(body, fc.constant([])))
    fc.assert(
      fc.property(fit, fc.array(step, { maxLength: 8 }), (file, steps) => {
        const wanted = new Map<string, readonly string[]>()
        let result = file
        for (const [name, lines] of steps) {
          result = withBlock(result, FILE, name, lines)
          if (lines.length === 0) wanted.delete(name)
          else wanted.set(name, lines)
        }
        const found = blocksIn(result, FILE)
        expect(
          new Map(found.map((block) => [block.machine, block.body.map(({ text }) => text)])),
        ).toStrictEqual(wanted)
        for (const name of wanted.keys()) result = withBlock(result, FILE, name, [])
        expect(result).toBe(file)
      }),
      { numRuns: 500 },
    )
  })

  it("keeps what others add behind the block", () => {
    fc.assert(
      fc.property(fit, fit, body, (before, after, lines) => {
        const ended = before === "" || before.endsWith("\n") ? before : `${before}\n`
        const added = withBlock(ended, FILE, "dev", lines) + after
        expect(withBlock(added, FILE, "dev", [OTHER])).toBe(withBlock(ended, FILE, "dev", [OTHER]) + after)
        expect(withBlock(added, FILE, "dev", [])).toBe(ended + after)
      }),
    )
  })

  it("keeps the ends of lines of an editor that changed them all", () => {
    const file = withBlock(`${VAGRANT}\n`, FILE, "dev", [LINE]).replaceAll("\n", "\r\n")
    expect(withBlock(file, FILE, "dev", [])).toBe(`${VAGRANT}\n`.replaceAll("\n", "\r\n"))
  })

  it("writes after others, and puts a newline where they have none", () => {
    expect(withBlock(`${XHYVE}\n`, FILE, "dev", [LINE])).toBe(
      `${XHYVE}\n# BEGIN skep dev\n${LINE}\n# END skep dev\n`,
    )
    expect(withBlock(XHYVE, FILE, "dev", [LINE])).toBe(`${XHYVE}\n# BEGIN skep dev\n${LINE}\n# END skep dev`)
    expect(withBlock("", FILE, "dev", [LINE])).toBe(`# BEGIN skep dev\n${LINE}\n# END skep dev\n`)
  })

  it("does not add where the last line would go on in it", () => {
    expect(codeOf(() => withBlock("/a \\\n", FILE, "dev", [LINE]))).toMatchObject({
      code: "corrupt-file",
      message: expect.stringContaining("(1) ends with a backslash") as string,
    })
    expect(withBlock("/a \\\n", FILE, "dev", [])).toBe("/a \\\n")
  })
})

describe("blocksIn()", () => {
  it.each([
    ["# BEGIN skep a\n", /begins in line 1 has no end/],
    ["x\n# END skep a\n", /line 2 ends a block that does not begin/],
    [
      "# BEGIN skep a\n# BEGIN skep b\n# END skep b\n# END skep a\n",
      /line 2 begins a block inside the one of line 1/,
    ],
    ["# BEGIN skep a\n# END skep b\n", /line 2 does not end the block of line 1/],
    ["# BEGIN skep a\n/home -ro\n# END skep a\n", /line 2 is inside a block of Skep, and is not Skep's/],
    ["# BEGIN skep a\n# VAGRANT-BEGIN: 1 2\n# END skep a\n", /line 2 is inside/],
    ["/x \\\n# BEGIN skep a\n# END skep a\n", /line 2 goes on a line that ends with a backslash/],
    ["# BEGIN skep A\n", /line 1 looks like a marker/],
    [" # begin skep a\n", /line 1 looks like a marker/],
    ["# BEGIN skep a b\n", /line 1 looks like a marker/],
    [`# BEGIN skep a\n${LINE} \\\n# END skep a\n`, /line/],
  ])("refuses %j", (file, message) => {
    expect(codeOf(() => blocksIn(file, FILE))).toMatchObject({
      code: "corrupt-file",
      message: expect.stringMatching(message) as string,
    })
    expect(codeOf(() => withBlock(file, FILE, "other", [LINE]))).toMatchObject({ code: "corrupt-file" })
  })

  it("takes others' markers for what they are", () => {
    const file = `${VAGRANT}\n${XHYVE}\n# BEGIN skepticism\n# skep is fine\n`
    expect(blocksIn(file, FILE)).toStrictEqual([])
  })
})
