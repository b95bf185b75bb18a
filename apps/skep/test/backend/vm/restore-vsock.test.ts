import type { DeviceStatus } from "@skep/contract"
import { describe, expect, it } from "vitest"
import { restoreVsock } from "../../../src/backend/vm/restore-vsock.ts"

const devices = (state: DeviceStatus["state"]): readonly DeviceStatus[] => [
  { name: "vsock", state, runs: state === "relaying" },
]
const noRebind = (): Promise<void> => Promise.reject(new Error("nothing to start anew"))

describe("a vsock whose keeper was lost", () => {
  it("is used again after the guest's driver was made to start it anew", async () => {
    const vsock = { lost: false }
    const seen: boolean[] = []
    const rebind = async (): Promise<void> => void seen.push(vsock.lost)
    expect(await restoreVsock(vsock, { devices: devices("lost"), rebind })).toBe(true)
    expect(seen).toEqual([true])
    expect(vsock.lost).toBe(false)
  })

  it("is used again where the guest has started it by itself", async () => {
    const vsock = { lost: true }
    expect(await restoreVsock(vsock, { devices: devices("relaying"), rebind: noRebind })).toBe(true)
    expect(vsock.lost).toBe(false)
  })

  it("stays lost while there is no keeper, and where the guest cannot start it", async () => {
    const vsock = { lost: true }
    expect(await restoreVsock(vsock, { devices: devices("unkept"), rebind: noRebind })).toBe(false)
    expect(vsock.lost).toBe(true)
    await expect(restoreVsock(vsock, { devices: devices("lost"), rebind: noRebind })).rejects.toThrow(
      "nothing",
    )
    expect(vsock.lost).toBe(true)
  })

  it("that was not lost is left alone", async () => {
    expect(await restoreVsock({ lost: false }, { devices: devices("relaying"), rebind: noRebind })).toBe(
      false,
    )
  })
})
