/**
 * Reaching a QEMU that has just been spawned, or that some other launcher left.
 *
 * @module
 */
import { connect, type Socket } from "node:net"
import { SidecarError } from "@skep/contract"
import { connectQmp, type Qmp, type QmpEvent } from "@skep/qmp"
import { sleep } from "@skep/runtime"

/** QEMU makes its sockets within a tenth of a second; there is nothing to wait on but their appearance. */
const CONNECT_POLL_MS = 10

/** Connects to the monitor as soon as QEMU listens. Rejects with the signal's reason. */
export async function awaitQmp(
  path: string,
  signal: AbortSignal,
  onEvent: (event: QmpEvent) => void,
): Promise<Qmp> {
  for (;;) {
    try {
      return await connectQmp(path, { signal, onEvent })
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof SidecarError) || error.code !== "unreachable") throw error
      await sleep(CONNECT_POLL_MS, signal)
    }
  }
}

/** Connects to the guest's serial port, which is there once the monitor is. */
export function connectSerial(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once("error", (cause) => {
      reject(
        new SidecarError("unreachable", `Cannot reach the console "unix:${path}": ${cause.message}`, {
          cause,
        }),
      )
    })
    socket.once("connect", () => {
      socket.removeAllListeners("error")
      resolve(socket)
    })
  })
}
