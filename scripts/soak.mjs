// `npm run soak -- network [--minutes N] [--seed N]`: builds, then lets everything bad happen at once.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { checkNode, installDependencies } from "./dependencies.mjs"
import { installPrograms, RUN_PROGRAMS, TEST_PROGRAMS } from "./host-programs.mjs"

const [suite = "", ...words] = process.argv.slice(2)
const main = join(import.meta.dirname, "../test/soak", suite, "main.ts")
if (suite === "" || !existsSync(main)) {
  process.stderr.write("usage: npm run soak -- network [--minutes N] [--seed N] [--driver loop|node]\n")
  process.exit(2)
}
checkNode()
installDependencies()
installPrograms([...RUN_PROGRAMS, ...TEST_PROGRAMS])
const { build } = await import("./build.mjs")
await build()
const args = ["--conditions=source", "--import", "tsx", main, ...words]
process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1
