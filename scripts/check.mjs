// `npm run check`: the fast gate for the daily loop. Needs no virtual machine and no build.
import { checkNode, installDependencies } from "./dependencies.mjs"

checkNode()
installDependencies()
const { STATIC, Tally } = await import("./gate.mjs")
const tally = new Tally()
for (const step of STATIC) tally.step(step)
tally.vitest("unit", ["--project", "unit", "--project", "unit-thorough"])
process.exitCode = tally.close()
