/**
 * Makes the guest's driver start its vsock device anew: what brings the device back after the keeper was lost, since QEMU tells a new
 * keeper of a device only then (FACTS, section 5). Goes over SSH, as there is no vsock. The guest's listeners survive it; its streams end.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { orAborted, within, withResolvers } from "@skep/runtime"
import { openConnection, type SshAddress } from "../../docker/ssh-connection.ts"

const DEADLINE_MS = 30_000
const REBIND = [
  "driver=/sys/bus/virtio/drivers/vmw_vsock_virtio_transport",
  'for device in "$driver"/virtio*; do',
  '  echo "${device##*/}" > "$driver/unbind" && echo "${device##*/}" > "$driver/bind" || exit 1',
  "done",
].join("\n")

/** Rejects with "timeout" or "unreachable", or with "crashed" when the guest could not do it. */
export async function rebindVsock(address: SshAddress, signal: AbortSignal): Promise<void> {
  const limit = within(DEADLINE_MS, signal)
  const connection = await openConnection(address, { signal: limit, deadlineMs: DEADLINE_MS, keepaliveMs: 0 })
  try {
    const exited = withResolvers<number | undefined>()
    connection.client.exec(REBIND, (error, channel) => {
      if (error !== undefined) return exited.reject(error)
      channel.on("exit", (code: number | null) => exited.resolve(code ?? undefined))
      channel.on("close", () => exited.resolve(undefined))
      channel.resume().stderr.resume()
    })
    const code = await orAborted(Promise.race([exited.promise, connection.lost]), limit)
    if (code === 0) return
    throw new SidecarError(
      "crashed",
      `The guest could not start its vsock anew: its shell ended with ${code}`,
    )
  } finally {
    connection.end()
  }
}
