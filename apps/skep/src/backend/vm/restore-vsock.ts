/**
 * What becomes of a machine's vsock after its keeper was lost.
 *
 * @module
 */
import type { DeviceStatus } from "@skep/contract"

export interface VsockDevices {
  /** As the launcher tells of them now. */
  readonly devices: readonly DeviceStatus[]
  /** Makes the guest's driver start the device anew. */
  readonly rebind: () => Promise<void>
}

/**
 * Clears `lost` as soon as that is no longer so, be it that the guest's driver started the device by itself, as it does at each boot.
 * Returns whether it was cleared just now; rejects as `rebind` does.
 */
export async function restoreVsock(
  vsock: { lost: boolean },
  { devices, rebind }: VsockDevices,
): Promise<boolean> {
  const states = new Set(devices.map(({ state }) => state))
  if (states.has("unkept")) return false // another keeper is on its way, and the launcher says when it is there
  if (states.has("lost")) {
    vsock.lost = true
    await rebind()
  }
  if (!vsock.lost) return false
  vsock.lost = false
  return true
}
