// `npm start`: from a fresh clone to a Docker that answers. Each step does nothing when it was done before.
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { checkNode, installDependencies } from "./dependencies.mjs"
import { dockerPrograms, installPrograms, onPath, RUN_PROGRAMS } from "./host-programs.mjs"

checkNode()
installDependencies()
installPrograms([...RUN_PROGRAMS, ...dockerPrograms()])
const { build } = await import("./build.mjs")
if (await build()) process.stderr.write("skep: built the programs\n")

const docker = onPath("docker") ? "docker" : skep(["docker-cli"], "pipe").trim()
skep(["up", ...process.argv.slice(2)], "inherit")
process.stdout.write(`
Run a container:   ${docker} --context skep run --rm -it IMAGE
See the machine:   npx skep status
Everything else:   npx skep --help
`)

/** Runs the command to its end and returns what it printed, or ends as it did when it fails. */
function skep(args, stdout) {
  const program = join(import.meta.dirname, "../apps/skep/bin/skep.js")
  const result = spawnSync(process.execPath, [program, ...args], {
    stdio: ["inherit", stdout, "inherit"],
    encoding: "utf8",
  })
  if (result.status !== 0) process.exit(result.status ?? 1)
  return result.stdout ?? ""
}
