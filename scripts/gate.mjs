// The steps of the gate: each is a program that must exit with 0; vitest's are counted test by test.
import { spawnSync } from "node:child_process"
import { readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
const env = { ...process.env, TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1" }

/** Format, lint, types, boundaries: seconds, no build. */
export const STATIC = [
  { name: "format", command: ["biome", "ci", "--colors=off", "."] },
  { name: "lint", command: ["oxlint", "--type-aware", "--deny-warnings"] },
  { name: "types", command: ["tsc", "-b"] },
  { name: "boundaries", command: ["turbo", "boundaries", "--no-color"] },
]

export class Tally {
  passed = 0
  failed = 0
  skipped = 0
  failures = []

  add(name, ok) {
    if (ok) this.passed++
    else {
      this.failed++
      this.failures.push(name)
    }
  }

  /** Leaves a step out, and says why. */
  skip(name, why) {
    this.skipped++
    process.stdout.write(`skipped  ${name}: ${why}\n`)
  }

  /** Runs one step; its output is shown when it fails. */
  step({ name, command: [program, ...args] }) {
    const began = Date.now()
    const result = spawnSync(join(root, "node_modules/.bin", program), args, {
      cwd: root,
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    })
    this.add(name, result.status === 0)
    process.stdout.write(
      `${result.status === 0 ? "ok  " : "FAIL"}  ${name}  ${((Date.now() - began) / 1000).toFixed(1)} s\n`,
    )
    if (result.status !== 0) process.stdout.write(`${result.stdout}\n${result.stderr}\n`)
  }

  /** Runs vitest and adds up what it reports. */
  vitest(name, args) {
    const report = join(tmpdir(), `skep-vitest-${process.pid}.json`)
    const outside = `${report}.outside`
    const reporters = ["default", "json", join(root, "scripts/outside-errors.mjs")]
    const result = spawnSync(
      join(root, "node_modules/.bin/vitest"),
      ["run", ...args, ...reporters.map((each) => `--reporter=${each}`), `--outputFile.json=${report}`],
      { cwd: root, env: { ...env, SKEP_OUTSIDE_ERRORS: outside }, stdio: ["ignore", "inherit", "inherit"] },
    )
    try {
      const counted = JSON.parse(readFileSync(report, "utf8"))
      this.passed += counted.numPassedTests
      this.failed += counted.numFailedTests
      this.skipped += counted.numPendingTests + counted.numTodoTests
      for (const test of counted.testResults.flatMap((file) => file.assertionResults)) {
        if (test.status === "failed")
          this.failures.push(`${name}: ${test.fullName}\n        ${firstLine(test.failureMessages[0])}`)
        if (test.status === "pending") process.stdout.write(`skipped  ${test.fullName}\n`)
      }
      // A file that does not even load, or an error outside every test, fails the run without a failed test.
      const errors = JSON.parse(readFileSync(outside, "utf8"))
      for (const error of errors) this.add(`${name}: outside of every test\n        ${error}`, false)
      if (result.status !== 0 && counted.numFailedTests + errors.length === 0)
        this.add(`${name}: vitest ended with ${result.status ?? result.signal}, and did not say why`, false)
    } catch {
      this.add(`${name}: vitest gave no report (exit code ${result.status})`, false)
    } finally {
      for (const path of [report, outside]) rmSync(path, { force: true })
    }
  }

  /** Prints the closing lines and returns the exit code. */
  close() {
    for (const failure of this.failures) process.stdout.write(`FAILED  ${failure}\n`)
    const skipped = this.skipped === 0 ? "" : `, ${this.skipped} skipped`
    process.stdout.write(`\n${this.passed} passed, ${this.failed} failed${skipped}\n`)
    return this.failed === 0 ? 0 : 1
  }
}

function firstLine(text = "") {
  return text.split("\n", 1)[0]
}
