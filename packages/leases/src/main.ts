/**
 * `skep-leases`: the command, and with `serve` the sidecar.
 *
 * @module
 */
import { runLeases } from "./command/run.ts"

const VERSION = "0.1.0"
const [first] = process.argv.slice(2)
// What the user's shell says of where the tools' files are is the command's to know.
// oxlint-disable-next-line node/no-process-env
const { env } = process

if (first === "serve") {
  const { serveLeases } = await import("./janitor/serve.ts")
  await serveLeases(VERSION, [...process.argv.slice(0, 2), ...process.argv.slice(3)], env)
} else {
  process.exitCode = await runLeases(process.argv.slice(2), VERSION, {
    input: process.stdin,
    output: process.stdout,
    errors: process.stderr,
    env,
  })
}
