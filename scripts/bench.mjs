// `npm run bench -- SUITE... [--json] [--record]`: builds, then runs the benchmarks of test/bench.
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { checkNode, installDependencies } from "./dependencies.mjs"
import {
  BENCH_PROGRAMS,
  dockerPrograms,
  installPrograms,
  RUN_PROGRAMS,
  TEST_PROGRAMS,
} from "./host-programs.mjs"

checkNode()
installDependencies()
installPrograms([...RUN_PROGRAMS, ...TEST_PROGRAMS, ...BENCH_PROGRAMS, ...dockerPrograms()])
const { build } = await import("./build.mjs")
await build()
const main = join(import.meta.dirname, "../test/bench/main.ts")
const args = ["--conditions=source", "--import", "tsx", main, ...process.argv.slice(2)]
process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1
