// `npm test`: the whole gate. Installs what it needs, runs every suite, and fails if anything is left behind.
// The thorough tests (`THOROUGH` in vitest.config.ts) are left out, and said to be, where the host is too slow for the gate to be done in half an hour with them.
// `npm test -- --long`: everything, also what takes longer than it tells (`LONG`).
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { checkNode, installDependencies } from "./dependencies.mjs"
import { dockerPrograms, installPrograms, RUN_PROGRAMS, TEST_PROGRAMS } from "./host-programs.mjs"

/** Minutes: the thorough tests take as long as all before them, nearly. */
const THOROUGH_WITHIN = 17

const began = Date.now()
const long = process.argv.includes("--long")
checkNode()
installDependencies()
installPrograms([...RUN_PROGRAMS, ...TEST_PROGRAMS, ...dockerPrograms()])

// Every test's files, sockets and processes carry this path, so that leftovers can be found. Short, for socket paths.
const scratch = mkdtempSync("/tmp/st-")
process.env.TMPDIR = scratch
process.env.SKEP_TEST = scratch

// What tests start is what ships, where there is such a program: from source it takes five times as long to start.
process.env.SKEP_PROGRAMS = join(import.meta.dirname, "../apps/skep/dist/programs")

const { STATIC, Tally } = await import("./gate.mjs")
const { build } = await import("./build.mjs")
const tally = new Tally()
for (const step of STATIC) tally.step(step)
try {
  await build()
  for (const name of readdirSync(process.env.SKEP_PROGRAMS))
    if (name.startsWith("test-")) rmSync(join(process.env.SKEP_PROGRAMS, name))
  tally.add("build", true)
} catch (error) {
  tally.add(`build: ${String(error)}`, false)
}
// One after the other: side by side emulated machines starve, and the whole takes longer.
for (const level of ["unit", "interop", "e2e"]) tally.vitest(level, ["--project", level])
const minutes = (Date.now() - began) / 60_000
for (const level of ["unit-thorough", "e2e-thorough"]) {
  if (long || minutes < THOROUGH_WITHIN) tally.vitest(level, ["--project", level])
  else
    tally.skip(
      level,
      `the host is slow, ${minutes.toFixed(0)} minutes until here; npx vitest run --project ${level}`,
    )
}
if (long) tally.vitest("long", ["--project", "long"])
const left = leftovers()
for (const line of left) process.stdout.write(`left behind  ${line}\n`)
tally.add("nothing is left behind", left.length === 0)
if (left.length === 0) rmSync(scratch, { recursive: true, force: true })
process.exitCode = tally.close()

/** Processes, mounts and sockets that carry the path of this run; other files were only in the way of `rm -r`. */
function leftovers() {
  const lines = []
  for (const pid of readdirSync("/proc").filter(
    (name) => /^\d+$/.test(name) && name !== String(process.pid),
  )) {
    const command = read(`/proc/${pid}/cmdline`)
    if (command.includes(scratch) || read(`/proc/${pid}/environ`).includes(scratch))
      lines.push(`process ${pid}: ${command.replaceAll("\0", " ")}`)
  }
  for (const mount of read("/proc/self/mountinfo").split("\n"))
    if (mount.includes(` ${scratch}`)) lines.push(`mount ${mount}`)
  for (const entry of readdirSync(scratch, { recursive: true, withFileTypes: true })) {
    if (entry.isSocket()) lines.push(`socket ${join(entry.parentPath, entry.name)}`)
  }
  return lines
}

function read(path) {
  try {
    return readFileSync(path, "latin1")
  } catch {
    return ""
  }
}
