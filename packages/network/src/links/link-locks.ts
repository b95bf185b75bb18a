/**
 * The locks of the sockets that links listen on: a socket found under its lock is stale, and may be removed.
 *
 * @module
 */
import { dirname } from "node:path"
import { SidecarError } from "@skep/contract"
import { type Lock, privateDirectory, removeStaleSocket, tryLock } from "@skep/runtime"

/** Disposing it lets go of all. */
export class LinkLocks implements Disposable {
  readonly #locks = new Map<string, Lock>()

  /** Makes the socket's directory where it is missing, and removes a stale socket: code "exists" where something else is there, "address-in-use" where another process, or another link of ours, has the socket. */
  async take(machine: string, socket: string): Promise<void> {
    await privateDirectory(dirname(socket))
    const lock = tryLock(`${socket}.lock`)
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
