/**
 * Which of the two vsock devices a machine gets: ours over vhost-user, or the kernel's.
 *
 * What is known: ours was measured under emulation, where it is as fast as QEMU's user network or faster, and its back end can be killed,
 * upgraded or swapped behind the keeper while the machine runs. What is not: the kernel's was never tried with Skep, on no host, so nobody
 * has measured which of them is faster under KVM.
 *
 * @module
 */
import type { Accelerator } from "@skep/contract"
import type { VhostVsock } from "./probe.ts"

export interface Circumstances {
  readonly probe: VhostVsock
  readonly accelerator: Accelerator
  /** Whether what serves the device must be replaceable while the machine runs, as behind the keeper. It must, unless told. */
  readonly replaceable?: boolean
}

export interface Preference {
  readonly kernel: boolean
  /** One sentence, for `skep doctor`. */
  readonly reason: string
}

export function preferKernelVsock({ probe, accelerator, replaceable = true }: Circumstances): Preference {
  if (probe.state !== "opens") return ours(probe.reason)
  if (accelerator === "hvf") return ours("QEMU under HVF runs on macOS, whose kernel has no vhost")
  if (accelerator === "tcg")
    return ours("under emulation the guest is what takes the time, and only our device was measured there")
  if (replaceable)
    return ours(
      "our device can be upgraded or swapped while the machine runs, and the kernel's is part of QEMU",
    )
  return {
    kernel: true,
    reason:
      "under KVM the kernel moves the guest's packets without a process of ours between; that this is faster was never measured",
  }
}

function ours(reason: string): Preference {
  return { kernel: false, reason }
}
