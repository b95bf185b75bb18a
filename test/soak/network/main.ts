/**
 * `npm run soak -- network [--minutes N] [--seed N] [--driver loop|node]`.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs"
import { parseArgs } from "node:util"
import { type Driver, whyNoLinks } from "./links.ts"
import { soak } from "./soak.ts"
import { complaints, table } from "./verdict.ts"
import { whyNoSoak } from "./world.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    driver: { type: "string", default: "loop" },
  },
})
const driver: Driver = values.driver === "node" ? "node" : "loop"
const why = whyNoSoak() || whyNoLinks(driver)
if (why !== "") {
  process.stdout.write(`no soak here: ${why}\n`)
  process.exit(1)
}
const seed = Number(values.seed)
process.stdout.write(`seed ${seed}, ${values.minutes} minutes\n`)
const directory = mkdtempSync("/tmp/ss-")
const result = await soak({
  directory,
  seconds: 60 * Number(values.minutes),
  seed,
  driver,
  progress: (line) => void process.stdout.write(`${line}\n`),
})
process.stdout.write(table(result))
const wrong = complaints(result)
for (const line of wrong) process.stdout.write(`WRONG  ${line}\n`)
process.stdout.write(wrong.length === 0 ? "all is well\n" : `see ${directory}\n`)
if (wrong.length === 0) rmSync(directory, { recursive: true, force: true })
process.exit(wrong.length === 0 ? 0 : 1)
