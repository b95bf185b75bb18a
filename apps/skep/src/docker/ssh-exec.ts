/**
 * A command run over SSH, and what came of it.
 *
 * @module
 */
import { constants } from "node:os"
import { SidecarError } from "@skep/contract"
import { orAborted } from "@skep/runtime"
import type { ClientChannel } from "ssh2"
import type { ExecOptions, ExecResult } from "./engine.ts"

/** Of each stream; a command that says more is not meant for `exec`. */
const OUTPUT_MAX = 16 << 20
const NO_STATUS = 255
const SIGNAL_BASE = 128

/** Owns `channel` from now on. */
export class SshCommand {
  readonly #channel: ClientChannel
  readonly #done: Promise<ExecResult>

  constructor(channel: ClientChannel, input: ExecOptions["input"]) {
    this.#channel = channel
    this.#done = result(channel)
    this.#done.catch(() => undefined) // whoever waits for it sees the reason
    channel.end(input)
  }

  /** Rejects with the signal's reason; the command is hung up on then. */
  async finished(signal: AbortSignal): Promise<ExecResult> {
    try {
      return await orAborted(this.#done, signal)
    } finally {
      this.#channel.close()
      this.#channel.resume()
      this.#channel.stderr.resume()
    }
  }
}

async function result(channel: ClientChannel): Promise<ExecResult> {
  let exitCode = NO_STATUS
  channel.on("exit", (code: number | null, signal?: string) => {
    exitCode = code ?? SIGNAL_BASE + signalNumber(signal)
  })
  const closed = new Promise<void>((resolve, reject) => {
    channel.once("close", () => resolve())
    channel.on("error", reject)
  })
  const [stdout, stderr] = await Promise.all([bytesOf(channel), bytesOf(channel.stderr), closed])
  return { exitCode, stdout, stderr }
}

function bytesOf(stream: NodeJS.ReadableStream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= OUTPUT_MAX) chunks.push(chunk)
      else
        reject(
          new SidecarError("protocol", `Cannot keep what the command says: it is over ${OUTPUT_MAX} bytes`),
        )
    })
    stream.on("end", () => resolve(Buffer.concat(chunks)))
    stream.on("error", reject)
  })
}

function signalNumber(name: string | undefined): number {
  const known = Object.entries(constants.signals).find(
    ([signal]) => signal === name || signal === `SIG${name}`,
  )
  return known?.[1] ?? 0
}
