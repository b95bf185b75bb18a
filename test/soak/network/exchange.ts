/**
 * What a well-behaved flow does: bytes go to an echo and come back the same, both ways closed in order.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto"
import { connect, createServer, type Server } from "node:net"

const LIMIT_MS = 15_000
const BYTES = 200_000

/** One kind of flow, as it went so far. */
export interface Tally {
  ok: number
  failed: number
  worstMs: number
  /** Of the last failure. */
  why: string
}

export type Tallies = Record<string, Tally>

/** Does `work` again and again until `signal`, with a pause between, and counts. */
export async function repeat(
  tallies: Tallies,
  name: string,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  const tally: Tally = { ok: 0, failed: 0, worstMs: 0, why: "" }
  tallies[name] = tally
  while (!signal.aborted) {
    const began = performance.now()
    try {
      await work()
      tally.ok++
      tally.worstMs = Math.max(tally.worstMs, Math.round(performance.now() - began))
    } catch (error) {
      tally.failed++
      tally.why = String(error)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Sends bytes to an echo, ends its own way, and reads to the other's end. Rejects where anything differs, or after a while. */
export async function echo(host: string, port: number): Promise<void> {
  const said = randomBytes(1 + Math.floor(Math.random() * BYTES))
  const heard = createHash("sha256")
  let bytes = 0
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true })
    const timer = setTimeout(
      () => socket.destroy(new Error(`took too long, ${bytes} of ${said.length} bytes`)),
      LIMIT_MS,
    )
    socket.on("error", reject)
    socket.on("data", (chunk: Uint8Array) => {
      bytes += chunk.length
      heard.update(chunk)
    })
    socket.on("end", () => {
      const same = heard.digest("hex") === createHash("sha256").update(said).digest("hex")
      if (same) resolve()
      else reject(new Error(`${bytes} of ${said.length} bytes came back, or others`))
    })
    socket.on("close", () => {
      clearTimeout(timer)
      reject(new Error("was closed early"))
    })
    socket.end(said)
  })
}

/** Answers with what it hears. */
export function echoServer(port: number, host: string): Server {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy())
    socket.pipe(socket)
  })
  return server.listen(port, host, 4096)
}

/** Prints what there is to tell, once a second, until stdin ends; then calls `stop` and prints once more. */
export function report(tallies: () => unknown, stop: () => void): void {
  const print = (): void => void process.stdout.write(`${JSON.stringify(tallies())}\n`)
  const timer = setInterval(print, 500)
  print()
  process.stdin.resume()
  process.stdin.on("end", () => {
    clearInterval(timer)
    stop()
    print()
    process.exit()
  })
}
