/**
 * Tells a new passt who the guest is, before the guest is there.
 *
 * passt takes the guest's MAC address from the frames that it sends, and sends to everybody until then. A kernel does not take TCP that was sent
 * to everybody: a guest that says nothing could not be reached by any forward. So an ARP request (RFC 826) is sent in the guest's name; the
 * answer is also the proof that passt works.
 *
 * @module
 */
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { SidecarError } from "@skep/contract"
import { orAborted, within } from "@skep/runtime"

const ANSWER_MS = 5000
const LENGTH = 4
const FRAME = 42

export interface Introduction {
  readonly mac: string
  readonly address: string
  readonly gateway: string
}

/**
 * Resolves when passt has answered, to the last byte, and was hung up on: writing to a client that has gone ends Debian 12's passt, whose filter of system
 * calls lets it say nothing of that. Rejects with "crashed".
 */
export async function introduce(socket: string, guest: Introduction, signal: AbortSignal): Promise<void> {
  const limit = within(ANSWER_MS, signal)
  try {
    await ask(await joined(socket, limit), guest, limit)
  } catch (cause) {
    signal.throwIfAborted()
    throw new SidecarError(
      "crashed",
      `Cannot use passt: it did not answer for its gateway: ${String(cause)}`,
      { cause },
    )
  }
}

async function ask(client: Socket, guest: Introduction, limit: AbortSignal): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    client.once("close", () => resolve())
  })
  const answered = new Promise<void>((resolve, reject) => {
    client.once("error", reject)
    let bytes = 0
    client.on("data", (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes >= LENGTH + FRAME) resolve()
    })
    client.once("close", () => reject(new Error("it hung up")))
  })
  try {
    client.write(arpRequest(guest))
    await orAborted(answered, limit)
  } finally {
    client.destroy()
    await closed
  }
}

async function joined(socket: string, limit: AbortSignal): Promise<Socket> {
  const client = connect(socket)
  try {
    await once(client, "connect", { signal: limit })
    return client
  } catch (error) {
    client.destroy()
    throw error
  }
}

/** After its length, as on QEMU's stream: who has the gateway, tell the guest. */
export function arpRequest({ mac, address, gateway }: Introduction): Uint8Array {
  const bytes = Buffer.alloc(LENGTH + FRAME)
  const from = Buffer.from(mac.replaceAll(":", ""), "hex")
  bytes.writeUInt32BE(FRAME, 0)
  bytes.fill(0xff, 4, 10)
  from.copy(bytes, 10)
  bytes.writeUInt16BE(0x0806, 16)
  bytes.set([0, 1, 8, 0, 6, 4, 0, 1], 18)
  from.copy(bytes, 26)
  bytes.set(address.split(".").map(Number), 32)
  bytes.set(gateway.split(".").map(Number), 42)
  return bytes
}
