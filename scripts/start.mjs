// `npm start`: from a fresh clone to a Docker that answers. Each step does nothing when it was done before.
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { checkNode, installDependencies } from "./dependencies.mjs"
import { installPrograms, RUN_PROGRAMS } from "./host-programs.mjs"

checkNode()
installDependencies()
installPrograms(RUN_PROGRAMS)
const { build } = await import("./build.mjs")
if (await build()) process.stderr.write("skep: built the programs\n")

const skep = join(import.meta.dirname, "../apps/skep/bin/skep.js")
const up = spawnSync(process.execPath, [skep, "up", ...process.argv.slice(2)], { stdio: "inherit" })
if (up.status !== 0) process.exit(up.status ?? 1)
process.stdout.write(`
Run a container:   docker --context skep run --rm -it IMAGE
See the machine:   npx skep status
Everything else:   npx skep --help
`)
