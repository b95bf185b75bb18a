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
export async function collect(
  channel: ClientChannel,
  signal: AbortSignal,
  input: ExecOptions["input"],
): Promise<ExecResult> {
  try {
    return await orAborted(finished(channel, input), signal)
  } finally {
    channel.close()
    channel.resume()
    channel.stderr.resume()
  }
}

async function finished(channel: ClientChannel, input: ExecOptions["input"]): Promise<ExecResult> {
  let exitCode = NO_STATUS
  channel.on("exit", (code: number | null, signal?: string) => {
    exitCode = code ?? SIGNAL_BASE + signalNumber(signal)
  })
  const closed = new Promise<void>((resolve, reject) => {
    channel.once("close", () => resolve())
    channel.once("error", reject)
  })
  const output = Promise.all([bytesOf(channel), bytesOf(channel.stderr)])
  channel.end(input)
  const [[stdout, stderr]] = await Promise.all([output, closed])
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
