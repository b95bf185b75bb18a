/**
 * `skep-exports`: changes the exports of the host's own NFS server. Small, since it runs as root.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { EXIT, exitCodeFor } from "@skep/runtime/exit"
import { readOrder } from "@skep/runtime/root-step"
import { runExports } from "./program.ts"

const INPUT_MAX = 1 << 20

const stop = new AbortController()
// A step that has begun is finished; one that waits for its turn is not begun.
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => stop.abort(new SidecarError("aborted", `Stopped by ${name}`)))

try {
  const answer = await runExports({
    argv: process.argv.slice(2),
    readInput: () => readOrder(process.stdin, INPUT_MAX),
    // Who asks is told by sudo itself.
    // oxlint-disable-next-line node/no-process-env
    sudoUid: process.env["SUDO_UID"],
    uid: process.getuid?.() ?? 0,
    signal: stop.signal,
  })
  process.stdout.write(`${JSON.stringify(answer)}\n`)
  process.exitCode = EXIT.done
} catch (error) {
  const known = SidecarError.of(error)
  process.stdout.write(`${JSON.stringify({ error: known })}\n`)
  process.exitCode = exitCodeFor(known.code)
}
