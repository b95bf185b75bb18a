/**
 * Takes the memory out of an `ArrayBuffer`: afterwards every view of it has length 0, reads undefined and ignores writes.
 *
 * A view that is touched after munmap ends the process with SIGSEGV. A detached one is harmless, whoever still holds it.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8"

/** What ES2024 calls `ArrayBuffer.prototype.transfer`, from Node 21 on. */
type Transferable = ArrayBuffer & { readonly transfer?: () => ArrayBuffer }

/** Returns whether `buffer` is detached now. */
export function detach(buffer: ArrayBuffer): boolean {
  if (buffer.byteLength === 0) return true
  const { transfer }: Transferable = buffer
  if (transfer === undefined) intrinsic?.(buffer)
  else transfer.call(buffer)
  return buffer.byteLength === 0
}

/**
 * Node 20 has no transfer(), and its structuredClone() copies buffers of native memory instead of moving them. The engine's own function
 * does it. The flag only lets the parser know its name; it stays set, since it is one for all threads and another may be at this line.
 */
const intrinsic = "transfer" in ArrayBuffer.prototype ? undefined : loadIntrinsic()

function loadIntrinsic(): ((buffer: ArrayBuffer) => void) | undefined {
  setFlagsFromString("--allow-natives-syntax")
  try {
    // oxlint-disable-next-line typescript/no-implied-eval -- the only way to this function, with constant text
    const call: unknown = new Function("buffer", "%ArrayBufferDetach(buffer)")
    return typeof call === "function" ? (buffer) => void call(buffer) : undefined
  } catch {
    // An engine without it: Mapping then keeps the addresses and puts zeros there.
    return undefined
  }
}
