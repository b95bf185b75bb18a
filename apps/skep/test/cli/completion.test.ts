import { mkdirSync } from "node:fs"
import { temporaryDirectory } from "@skep/testkit"
import { expect, test } from "vitest"
import { complete } from "../../src/cli/commands/completion.ts"
import { Output } from "../../src/cli/output.ts"
import { buildProgram } from "../../src/cli/program.ts"
import { homeFrom } from "../../src/home/paths.ts"
import { printed } from "./printed.ts"

test("verbs follow, those that are shown", async () => {
  const words = await completed()
  expect(words).toEqual(expect.arrayContaining(["up", "leases", "completion"]))
  expect(words).not.toContain("complete")
  expect(await completed("share")).toEqual(expect.arrayContaining(["add", "rm", "ls"]))
})

test("the verbs of leases follow it, then their options, and machines where one is named", async () => {
  const verbs = ["ls", "show", "explain", "prune", "undo", "reserve", "unreserve"]
  expect(await completed("leases")).toEqual([...verbs, "--version"])
  expect(await completed("leases", "prune")).toEqual(expect.arrayContaining(["--all-stale", "--dry-run"]))
  expect(await completed("leases", "list")).toContain("--state")
  expect(await completed("leases", "explain")).not.toContain("dev")
  expect(await completed("leases", "reserve")).toEqual(["dev", "--json"])
  expect(await completed("leases", "prune", "--machine")).toEqual(["dev"])
})

/** With one machine, "dev". */
async function completed(...words: readonly string[]): Promise<readonly string[]> {
  await using directory = await temporaryDirectory()
  const home = homeFrom({ SKEP_HOME: directory.path })
  mkdirSync(directory.at("machines/dev"), { recursive: true })
  const session = { home, output: new Output(false), signal: AbortSignal.timeout(10_000) }
  const { out } = await printed(() => complete(session, buildProgram(), words))
  return out.split("\n").filter((word) => word !== "")
}
