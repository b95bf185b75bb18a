/**
 * A stream to a vsock port of the guest, through the socket of the machine's bridge. The dialect is Firecracker's (`CONNECT PORT\n`, answered by
 * `OK N\n`), as HyperKit's does not tell whether the guest accepted.
 *
 * @module
 */
import { connect, type Socket } from "node:net"
import { SidecarError } from "@skep/contract"
import { orAborted, within, withResolvers } from "@skep/runtime"

/** The bridge itself gives the guest 5 s; one that does not answer at all gets a moment more. */
const ANSWER_MS = 6000
const LINE_MAX = 32
const LINE_FEED = "\n"

export interface GuestPort {
  /** The bridge's socket. */
  readonly connect: string
  readonly port: number
}

/** Resolves when the guest has accepted. Rejects with "unreachable", or with the signal's reason. */
export async function dialGuest({ connect: path, port }: GuestPort, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ path })
  try {
    socket.write(`CONNECT ${port}\n`)
    const line = await orAborted(firstLine(socket), within(ANSWER_MS, signal))
    if (line?.startsWith("OK ") === true) return socket
    throw new Error(line === undefined ? "nobody listens there" : "its bridge does not speak this dialect")
  } catch (error) {
    socket.on("error", () => undefined) // told already
    socket.destroy()
    signal.throwIfAborted()
    const why = error instanceof Error ? error.message : String(error)
    throw new SidecarError("unreachable", `Cannot reach port ${port} of the guest over vsock: ${why}`, {
      cause: error,
    })
  }
}

/** Byte by byte: what follows belongs to somebody else. Undefined where there was none. */
async function firstLine(socket: Socket): Promise<string | undefined> {
  const found = withResolvers<string | undefined>()
  let line = ""
  const onReadable = (): void => {
    for (let byte = readByte(socket); byte !== undefined; byte = readByte(socket)) {
      if (byte === LINE_FEED || line.length >= LINE_MAX) return found.resolve(line)
      line += byte
    }
  }
  const onEnd = (): void => found.resolve(undefined)
  socket.on("readable", onReadable).on("end", onEnd).on("close", onEnd).on("error", found.reject)
  try {
    return await found.promise
  } finally {
    socket.off("readable", onReadable).off("end", onEnd).off("close", onEnd).off("error", found.reject)
  }
}

function readByte(socket: Socket): string | undefined {
  const byte: unknown = socket.read(1)
  return Buffer.isBuffer(byte) ? byte.toString("latin1") : undefined
}
