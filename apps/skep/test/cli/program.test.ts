/**
 * The command line: what it refuses and how, without running any verb.
 *
 * @module
 */
import type { Command } from "commander"
import { describe, expect, test } from "vitest"
import { buildProgram } from "../../src/cli/program.ts"
import { asksForJson } from "../../src/cli/usage.ts"
import { printed } from "./printed.ts"

async function parsed(...words: string[]): Promise<unknown> {
  return await buildProgram().parseAsync(["node", "skep", ...words])
}

describe("wrong usage", () => {
  test.each([
    [["statsu"], "Cannot run \"skep\": unknown command 'statsu'", "Did you mean status? See skep --help"],
    [
      ["up", "--cpu", "2"],
      "Cannot run \"skep up\": unknown option '--cpu'",
      "Did you mean --cpus? See skep up --help",
    ],
    [["--json", "ls"], "Cannot run \"skep\": unknown option '--json'", "See skep --help"],
    [["up", "a", "b"], /^Cannot run "skep up": too many arguments/, "See skep up --help"],
    [["completion"], /missing required argument 'shell'$/, "See skep completion --help"],
    [["up", "--memory"], /argument missing$/, "See skep up --help"],
    [
      ["up", "--network", "x"],
      /'x' is invalid\. Allowed choices are open, loopback, restricted, skep, passt, gvproxy, user, vhost-user, stream$/,
      "See skep up --help",
    ],
    [["image", "biuld"], /"skep image": unknown command/, "Did you mean build? See skep image --help"],
    [["up", "--memory", "lots"], 'Cannot use "lots" as a memory size: it is no size', "Say it as 2g or 512m"],
    [["logs", "-n", "x"], /as a number of lines/, "Say it as in -n 50"],
    [
      ["share", "owners", "import", "/x"],
      /missing required argument 'file'$/,
      "See skep share owners import --help",
    ],
    [["shell", "--json"], /unknown option '--json'/, "See skep shell --help"],
    [["console", "--json"], /unknown option '--json'/, "See skep console --help"],
  ])("%j", async (words, message, next) => {
    const { out, err } = await printed(async () => {
      const shown: unknown = typeof message === "string" ? message : expect.stringMatching(message)
      await expect(parsed(...words)).rejects.toMatchObject({ code: "bad-options", message: shown, next })
    })
    // It is told once, by whoever catches it.
    expect({ out, err }).toEqual({ out: "", err: "" })
  })
})

test.each([
  [["--help"], "commander.helpDisplayed", 0, "out"],
  [["up", "--help"], "commander.helpDisplayed", 0, "out"],
  [["--version"], "commander.version", 0, "out"],
  [[], "commander.help", 1, "err"],
  [["image"], "commander.help", 1, "err"],
] as const)("%j prints and ends", async (words, code, exitCode, where) => {
  const texts = await printed(async () => {
    await expect(parsed(...words)).rejects.toMatchObject({ code, exitCode })
  })
  expect(texts[where]).not.toBe("")
})

test("every verb says what it does, and prints JSON unless its output is the machine's", () => {
  const verbs = everyVerb(buildProgram()).filter((command) => command.commands.length === 0)
  expect(verbs.filter((command) => command.description() === "").map((command) => command.name())).toEqual([
    "complete",
  ])
  // The verbs of leases have their own.
  const without = verbs.filter((command) => command.options.every((option) => option.long !== "--json"))
  expect(without.map((command) => command.name())).toEqual(["shell", "console", "leases", "complete"])
})

test.each([
  [["ls", "--json"], true],
  [["ls"], false],
  [["shell", "--", "docker", "--json"], false],
])("asksForJson(%j) is %j", (words, expected) => {
  expect(asksForJson(words)).toBe(expected)
})

function everyVerb(command: Command): readonly Command[] {
  return command.commands.flatMap((sub) => [sub, ...everyVerb(sub)])
}
