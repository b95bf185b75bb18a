/**
 * The locks of the sockets that links listen on: a socket found under its lock is stale, and may be removed.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { type Lock, removeStaleSocket, tryLock } from "@skep/runtime"
import { refusedPath } from "../refused-path.ts"
import { ANOTHER_SOCKET, socketDirectory } from "./socket-directory.ts"

/** Disposing it lets go of all. */
export class LinkLocks implements Disposable {
  readonly #locks = new Map<string, Lock>()

  /**
   * Makes the socket's directory where it is missing, and removes a stale socket: code "exists" where something else is there, "address-in-use" where
   * another process, or another link of ours, has the socket; and the codes of `socketDirectory`.
   */
  async take(machine: string, socket: string): Promise<void> {
    await socketDirectory(socket)
    const lock = lockOf(socket)
    if (lock === undefined) {
      throw new SidecarError("address-in-use", `Cannot listen on "unix:${socket}": somebody else does`, {
        next: "Stop it, or choose another socket",
      })
    }
    try {
      removeStaleSocket(socket)
    } catch (error) {
      lock[Symbol.dispose]()
      throw error
    }
    this.#locks.set(machine, lock)
  }

  release(machine: string): void {
    this.#locks.get(machine)?.[Symbol.dispose]()
    this.#locks.delete(machine)
  }

  [Symbol.dispose](): void {
    for (const machine of this.#locks.keys()) this.release(machine)
  }
}

function lockOf(socket: string): Lock | undefined {
  try {
    return tryLock(`${socket}.lock`)
  } catch (error) {
    throw refusedPath("listen on", `unix:${socket}`, error, ANOTHER_SOCKET)
  }
}
