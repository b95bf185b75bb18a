/**
 * How QEMU is told to use the kernel's vsock device.
 *
 * @module
 */

/** How the machine attaches its devices: microvm by memory-mapped registers, PCs by PCI. */
export type DeviceBus = "mmio" | "pci"

/** The arguments for a guest's vsock. QEMU opens /dev/vhost-vsock itself, and fails to start where another machine has this cid. */
export function vhostVsockArguments(guestCid: number, bus: DeviceBus): readonly string[] {
  const device = bus === "mmio" ? "vhost-vsock-device" : "vhost-vsock-pci"
  return ["-device", `${device},guest-cid=${guestCid}`]
}
