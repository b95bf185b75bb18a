/**
 * `skep-exports`: changes the exports of the host's own NFS server. Small, since it runs as root.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { runExports } from "./program.ts"

const INPUT_MAX = 1 << 20
const EXIT = { done: 0, failed: 1, usage: 2 } as const

const stop = new AbortController()
// A step that has begun is finished; one that waits for its turn is not begun.
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => stop.abort(new SidecarError("aborted", `Stopped by ${name}`)))

try {
  const answer = await runExports({
    argv: process.argv.slice(2),
    readInput,
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
  process.exitCode = known.code === "bad-options" ? EXIT.usage : EXIT.failed
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin) {
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > INPUT_MAX)
      throw new SidecarError("bad-options", `Cannot read what is to be exported: over ${INPUT_MAX} bytes`)
    chunks.push(part)
  }
  return Buffer.concat(chunks).toString("utf8")
}
