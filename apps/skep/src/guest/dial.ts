/**
 * A stream to a vsock port of the guest, through the socket that the machine's bridge serves for it.
 *
 * The dialect is Firecracker's (`CONNECT PORT\n`, answered by `OK N\n`), since HyperKit's does not tell whether the guest accepted. Both are
 * understood on the same socket.
 *
 * @module
 */
import { connect, type Socket } from "node:net"
import { SidecarError } from "@skep/contract"
import { type FirstLine, firstLine } from "./first-line.ts"

/** The bridge itself gives the guest 5 s; one that does not answer at all gets a moment more. */
const ANSWER_MS = 6000
const LINE_MAX = 32

export interface GuestPort {
  /** The bridge's `connect` socket. */
  readonly connect: string
  readonly port: number
}

/**
 * Resolves when the guest has accepted. The stream half-closes both ways and is the caller's.
 * Rejects with "unreachable": no bridge, or nobody in the guest; with "timeout"; or with the signal's reason.
 */
export async function dialGuest({ connect: path, port }: GuestPort, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted()
  const socket = connect({ path, allowHalfOpen: true })
  const late = AbortSignal.timeout(ANSWER_MS)
  const refusal = (code: "unreachable" | "timeout", why: string, cause?: unknown): SidecarError =>
    new SidecarError(code, `Cannot reach port ${port} of the machine over vsock: ${why}`, { cause })
  try {
    socket.write(`CONNECT ${port}\n`)
    const answer = await firstLine(socket, LINE_MAX, AbortSignal.any([signal, late]))
    const why = reasonOf(answer)
    if (why !== undefined) throw refusal("unreachable", why)
    return socket
  } catch (error) {
    socket.destroy()
    signal.throwIfAborted()
    if (error instanceof SidecarError) throw error
    if (late.aborted) throw refusal("timeout", `no answer within ${ANSWER_MS / 1000} s`)
    throw refusal("unreachable", error instanceof Error ? error.message : String(error), error)
  }
}

/** Why it is no acceptance. */
function reasonOf(answer: FirstLine): string | undefined {
  if (answer === "ended") return "nobody listens there"
  const accepted = answer !== "too-long" && answer.line.startsWith("OK ")
  return accepted ? undefined : "its bridge does not speak this dialect"
}
