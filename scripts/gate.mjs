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
    const result = spawnSync(
      join(root, "node_modules/.bin/vitest"),
      ["run", ...args, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
      { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] },
    )
    try {
      const {
        numPassedTests,
        numFailedTests,
        numPendingTests,
        numTodoTests,
        numFailedTestSuites,
        testResults,
      } = JSON.parse(readFileSync(report, "utf8"))
      this.passed += numPassedTests
      this.failed += numFailedTests
      this.skipped += numPendingTests + numTodoTests
      for (const file of testResults) {
        for (const test of file.assertionResults) {
          if (test.status === "failed") this.failures.push(`${name}: ${test.fullName}`)
          if (test.status === "pending") process.stdout.write(`skipped  ${test.fullName}\n`)
        }
      }
      // A file that does not even load, or an error outside every test, fails the run without a failed test.
      if (result.status !== 0 && numFailedTests === 0)
        this.add(`${name}: ${numFailedTestSuites} suites did not run`, false)
    } catch {
      this.add(`${name}: vitest gave no report (exit code ${result.status})`, false)
    } finally {
      rmSync(report, { force: true })
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
